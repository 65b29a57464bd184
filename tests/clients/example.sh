curl --request POST \
  --url https://fal.run/fal-ai/bytedance/seedance/v1/lite/image-to-video \
  --header "Authorization: Key $FAL_KEY" \
  --header "Content-Type: application/json" \
  --data '{
     "prompt": "A little dog is running in the sunshine. The camera follows the dog as it plays in a garden.",
     "image_url": "https://fal.media/files/koala/f_xmiodPjhiKjdBkFmTu1.png"
   }'
