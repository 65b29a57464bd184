/** What `views.py` asks of a page of JupyterLab: when a cell ended, when pictures were there, which tasks were long. */
window.bench = (() => {
  const panel = () => jupyterapp.shell.currentWidget;
  const kernel = () => panel().sessionContext.session.kernel;
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(performance.now()))));
  const posters = new Map();
  const tasks = [];
  const scripts = [];
  const messages = {};
  let idle = 0;
  let began = 0;

  // Only what is told is listened to: looking at every frame would be a task of ours.
  document.addEventListener(
    "load",
    ({ target }) => {
      if (target.matches?.(".sl-grid .sl-poster")) void frame().then((at) => posters.set(target, at));
    },
    true,
  );
  new PerformanceObserver((list) => tasks.push(...list.getEntries())).observe({ type: "longtask" });
  if (PerformanceObserver.supportedEntryTypes.includes("long-animation-frame"))
    new PerformanceObserver((list) => {
      for (const { scripts: all } of list.getEntries()) scripts.push(...all);
    }).observe({ type: "long-animation-frame" });
  kernel().anyMessage.connect((_, { msg: { header, content }, direction }) => {
    if (!header.msg_type.startsWith("comm_")) return;
    const kind = `${direction} ${content.data?.content?.t ?? header.msg_type}`;
    messages[kind] = (messages[kind] ?? 0) + 1;
  });
  kernel().iopubMessage.connect((_, { header, parent_header: parent, content }) => {
    const ended = header.msg_type === "status" && content.execution_state === "idle";
    if (ended && parent.msg_type === "execute_request") idle = performance.now();
  });

  function run(index) {
    idle = 0;
    began = performance.now();
    panel().content.activeCellIndex = index;
    void jupyterapp.commands.execute("notebook:run-cell");
  }

  async function until(true_, ms = 60_000) {
    const end = performance.now() + ms;
    while (!true_()) {
      if (performance.now() > end) throw new Error(`it did not happen within ${ms} ms: ${true_}`);
      await wait(5);
    }
  }

  /** Milliseconds that a cell takes, as the page hears of it. */
  async function ran(index) {
    run(index);
    await until(() => idle, 180_000);
    return idle - began;
  }

  /** Messages so far that said what has changed. */
  const patches = () => messages["recv patch"] ?? 0;

  const inSight = (el) => {
    const { top, bottom, left, right } = el.getBoundingClientRect();
    const box = el.closest(".jp-WindowedPanel-outer, .jp-Notebook").getBoundingClientRect();
    return bottom > box.top && top < box.bottom && right > box.left && left < box.right;
  };

  /**
   * Run a cell that shows so many clips, and watch until the pictures in sight are drawn, and `rest` ms more; then
   * until the hidden sheet has come.
   */
  async function shown(index, n, rest) {
    await wait(rest); // what the page still had to do
    tasks.length = scripts.length = 0;
    run(index);
    let seen = [];
    if (n) {
      await until(() => {
        const cells = [...document.querySelectorAll(".sl-grid .sl-cell")];
        if (!idle || cells.length < n) return false;
        seen = cells.filter(inSight).map((cell) => cell.querySelector(".sl-poster"));
        return seen.length && seen.every((poster) => posters.has(poster));
      });
    } else await until(() => idle);
    await wait(rest);
    const meanwhile = tasks.splice(0);
    const sheet = () => document.querySelectorAll(".seedance-lab-sheet img").length >= n;
    await until(sheet);
    if (n) await wait(rest);
    const drawn = Math.max(0, ...seen.map((poster) => posters.get(poster)));
    const own = scripts.filter((one) => one.sourceURL.startsWith("blob:"));
    const view = document.querySelector(".sl-grid-view");
    return {
      cell: idle - began,
      drawn: n ? drawn - idle : null,
      seen: seen.length,
      tasks: meanwhile.map((one) => Math.round(one.duration)),
      later: tasks.map((one) => Math.round(one.duration)),
      own: Math.max(0, ...own.map((one) => one.duration)),
      height: view?.closest(".jp-OutputArea-output").offsetHeight ?? 0,
    };
  }

  /** Run a cell that makes a burst of updates, and wait until the grid says what the last ones said. */
  async function burst(index, last) {
    tasks.length = 0;
    const before = patches();
    run(index);
    const said = () => [...document.querySelectorAll(".sl-grid .sl-state-why")].map((el) => el.textContent);
    await until(() => said().sort().join() === last.sort().join());
    const all = performance.now() - began;
    await until(() => idle);
    return {
      all,
      patches: patches() - before,
      longest: Math.max(0, ...tasks.map((one) => one.duration)),
    };
  }

  /** Milliseconds from a click on a button of the panel until the panel says that it was heard. */
  async function acknowledged(word, said) {
    const view = document.querySelector(".seedance-lab-panel");
    const find = () =>
      [...view.querySelectorAll("button.jupyter-button")].find((el) => el.textContent.trim() === word && !el.disabled);
    await until(find);
    const heard = () =>
      said ? view.querySelector("[role=progressbar]").getAttribute("aria-valuetext").includes(said) : !find();
    const from = performance.now();
    find().click();
    await until(heard);
    return performance.now() - from;
  }

  return { ran, shown, burst, acknowledged, patches };
})();
