/**
 * What every widget has in common, as the front end wants it.
 *
 * The front end makes one of these for each widget. The wire and what came over it belong to the widget, so that two
 * views of it show the same; the clock and the elements belong to a view.
 */
import { Channel } from "./channel.js";

/**
 * @template T
 * @param {(channel: Channel) => T} begin Makes what all views share; listens from the first message on.
 * @param {(options: {model: any, el: HTMLElement, signal?: AbortSignal, channel: Channel, shared: T}) =>
 *   {dispose: () => void}} render
 */
export const front = (begin, render) => () => {
  /** @type {Channel} */
  let channel;
  /** @type {T} */
  let shared;
  return {
    /** @param {{model: any}} options */
    initialize({ model }) {
      channel = new Channel(model);
      shared = begin(channel);
      return () => channel.dispose();
    },

    /** @param {{model: any, el: HTMLElement, signal?: AbortSignal}} options */
    render({ model, el, signal }) {
      el.classList.add("sl-view");
      const view = render({ model, el, signal, channel, shared });
      channel.ready();
      return () => view.dispose();
    },
  };
};
