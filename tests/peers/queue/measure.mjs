// What both peers are measured by: a window of a run over a full queue, from its first job on.
// It knows neither of them.

/**
 * Counts jobs as their handlers begin. `warmUp` seconds after the first, or once a fifth of all is
 * done, the window opens; it closes `window` seconds later, or with the last job.
 */
export class Window {
  #jobs;
  #warmUp;
  #window;
  #count = 0;
  #first;
  #opened;
  #resolve;

  /** Resolves with the jobs a second in the window. */
  closed = new Promise((resolve) => {
    this.#resolve = resolve;
  });

  constructor({ jobs, warmUp, window }) {
    [this.#jobs, this.#warmUp, this.#window] = [jobs, warmUp, window];
  }

  /** `n` more jobs have begun. */
  add(n = 1) {
    const now = performance.now() / 1000;
    this.#count += n;
    this.#first ??= now;
    if (this.#opened === undefined) {
      if (now - this.#first >= this.#warmUp || this.#count >= this.#jobs / 5) {
        this.#opened = { at: now, count: this.#count };
      }
      return;
    }
    if (now - this.#opened.at >= this.#window || this.#count >= this.#jobs) {
      const [jobs, seconds] = [this.#count - this.#opened.count, now - this.#opened.at];
      this.#resolve({ rate: jobs / seconds, jobs, seconds });
    }
  }
}

/** The options of the command line: `{"jobs": 1000, …}` as its only argument. */
export const options = JSON.parse(process.argv[2]);

/** Prints the answer, and ends: what a queue does to stop isn't measured. */
export function answer(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`, () => process.exit(0));
}
