import fal_client

def on_queue_update(update):
    if isinstance(update, fal_client.InProgress):
        for log in update.logs:
           print(log["message"])

result = fal_client.subscribe(
    "fal-ai/bytedance/seedance/v1/lite/image-to-video",
    arguments={
        "prompt": "A little dog is running in the sunshine. The camera follows the dog as it plays in a garden.",
        "image_url": "https://fal.media/files/koala/f_xmiodPjhiKjdBkFmTu1.png"
    },
    with_logs=True,
    on_queue_update=on_queue_update,
)
print(result)
