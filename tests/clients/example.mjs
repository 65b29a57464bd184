import { fal } from "@fal-ai/client";

const result = await fal.subscribe("fal-ai/bytedance/seedance/v1/lite/image-to-video", {
  input: {
    prompt: "A little dog is running in the sunshine. The camera follows the dog as it plays in a garden.",
    image_url: "https://fal.media/files/koala/f_xmiodPjhiKjdBkFmTu1.png"
  },
  logs: true,
  onQueueUpdate: (update) => {
    if (update.status === "IN_PROGRESS") {
      update.logs.map((log) => log.message).forEach(console.log);
    }
  },
});
console.log(result.data);
console.log(result.requestId);
