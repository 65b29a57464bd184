// Every call of fal's JavaScript client; prints what came back as JSON. Where the engine is, the module that Node
// is told to import first has said.

import { fal } from "@fal-ai/client";

const ENDPOINT = "fal-ai/bytedance/seedance/v1/lite/image-to-video";
const TEXT = "fal-ai/bytedance/seedance/v1/lite/text-to-video";
const INPUT = { prompt: "boats", duration: "2", resolution: "480p", seed: 11 };
const LONG = { prompt: "boats", duration: "12", resolution: "1080p" };
const PICTURE = process.argv[3];

/** @param {Promise<unknown>} promise what the client throws, as data */
const refusal = (promise) =>
  promise.then(
    () => null,
    ({ name, status, body }) => ({ name, status, body }),
  );

/** @param {"polling" | "streaming"} mode */
async function subscribe(mode) {
  const updates = [];
  const { data, requestId } = await fal.subscribe(TEXT, {
    input: INPUT,
    logs: true,
    mode,
    pollInterval: 20,
    onQueueUpdate: ({ status }) => updates.push(status),
  });
  return { data, requestId, last: updates.at(-1) };
}

async function plain() {
  const { readFile } = await import("node:fs/promises");
  const said = {};
  const file = new File([await readFile(PICTURE)], "harbour.jpg", { type: "image/jpeg" });
  const image_url = await fal.storage.upload(file);
  const back = await (await fetch(image_url)).arrayBuffer();
  said.upload = Buffer.from(back).equals(Buffer.from(await file.arrayBuffer()));
  said.run = await fal.run(ENDPOINT, { input: { ...INPUT, image_url } });
  said.uploaded_by_itself = await fal.run(ENDPOINT, { input: { ...INPUT, image_url: file } });
  said.subscribe = await subscribe("polling");
  said.submit = await fal.queue.submit(TEXT, { input: INPUT });
  const { request_id: requestId } = said.submit;
  said.waited = await fal.queue.subscribeToStatus(TEXT, { requestId, logs: true, pollInterval: 20 });
  said.status = await fal.queue.status(TEXT, { requestId, logs: true });
  said.result = await fal.queue.result(TEXT, { requestId });
  said.cancel_too_late = await refusal(fal.queue.cancel(TEXT, { requestId }));
  const refused = await fal.queue.submit(ENDPOINT, { input: { prompt: "no picture" } });
  await fal.queue.subscribeToStatus(ENDPOINT, { requestId: refused.request_id, pollInterval: 20 });
  said.refused = await refusal(fal.queue.result(ENDPOINT, { requestId: refused.request_id }));
  return said;
}

async function streaming() {
  const said = { subscribe: await subscribe("streaming"), events: [] };
  const { request_id: requestId } = await fal.queue.submit(TEXT, { input: INPUT });
  const stream = await fal.queue.streamStatus(TEXT, { requestId, logs: true });
  for await (const event of stream) said.events.push(event);
  said.done = await stream.done();
  return said;
}

async function cancelling() {
  const running = await fal.queue.submit(TEXT, { input: LONG });
  const waiting = await fal.queue.submit(TEXT, { input: LONG });
  const ended = [];
  for (const { request_id: requestId } of [waiting, running]) {
    await fal.queue.cancel(TEXT, { requestId });
    ended.push((await fal.queue.subscribeToStatus(TEXT, { requestId, pollInterval: 20 })).error_type);
  }
  return ended;
}

const calls = { plain, streaming, cancelling };
console.log(JSON.stringify(await calls[process.argv[2]]()));
