/** anywidget's model: `sent` is what the page said, `say` is the kernel. */
export class FakeModel {
  constructor(traits = {}) {
    this.traits = traits;
    this.sent = [];
    this.handlers = new Map();
  }
  get(name) { return this.traits[name]; } // prettier-ignore
  on(name, fn) { this.handlers.set(name, (this.handlers.get(name) ?? new Set()).add(fn)); } // prettier-ignore
  off(name, fn) { this.handlers.get(name)?.delete(fn); } // prettier-ignore
  send(message, _, buffers) { this.sent.push({ ...message, buffers }); } // prettier-ignore
  fire(name, ...given) { for (const fn of [...(this.handlers.get(name) ?? [])]) fn(...given); } // prettier-ignore
  hear(message, buffers) { this.fire("msg:custom", message, buffers); } // prettier-ignore
  say(message, buffers) { this.hear({ v: 1, ...message }, buffers); } // prettier-ignore
  of(t) { return this.sent.filter((one) => one.t === t); } // prettier-ignore
  get listeners() { return [...this.handlers.values()].reduce((n, set) => n + set.size, 0); } // prettier-ignore
}
