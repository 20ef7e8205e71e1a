// One function over the HTTP API, and its errors in words. It never retries: the caller knows
// whether a second try is safe.

const TIME_LIMIT_MS = 20_000;

/** Hears `unauthorized` when any call answers 401. */
export const session = new EventTarget();

/** What went wrong, for people. `status` is 0 when the host gave no answer. */
export class ApiError extends Error {
  constructor({ status, title, detail, code, request_id: requestId }) {
    super(detail || title || `The host answered ${status}`);
    this.status = status;
    this.title = title;
    this.code = code;
    this.requestId = requestId;
  }
}

/** True when the view that asked has gone: nobody wants to hear of it. */
export const isGone = (error) => error?.name === "AbortError" || error?.status === 401;

/** Calls the API: JSON in, JSON out. `query` entries that are empty are left out. */
export async function call(method, path, { body, query, headers, signal } = {}) {
  const limit = AbortSignal.timeout(TIME_LIMIT_MS);
  const options = {
    method,
    headers: { Accept: "application/json, application/problem+json", ...headers },
    credentials: "same-origin",
    cache: "no-store",
    signal: signal ? AbortSignal.any([signal, limit]) : limit,
  };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  try {
    const answer = await fetch(withQuery(path, query), options);
    if (answer.ok) return answer.status === 204 ? null : await answer.json();
    throw await problem(answer);
  } catch (error) {
    signal?.throwIfAborted();
    throw inWords(error);
  }
}

function withQuery(path, query) {
  const filled = Object.entries(query ?? {}).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return filled.length ? `${path}?${new URLSearchParams(filled)}` : path;
}

async function problem(answer) {
  const said = await answer.json().catch(() => ({}));
  const error = new ApiError({ title: answer.statusText, ...said, status: answer.status });
  if (answer.status === 401) session.dispatchEvent(new Event("unauthorized"));
  return error;
}

function inWords(error) {
  if (error instanceof ApiError) return error;
  const because = {
    TimeoutError: "The host took too long to answer.",
    SyntaxError: "The host's answer isn't JSON: is something else listening at this address?",
  };
  const detail = because[error.name] ?? "The host doesn't answer. Is it still running?";
  return new ApiError({ status: 0, title: "No answer", detail });
}

/** `/api/jobs/ID/…`, each part encoded. */
export const jobPath = (id, ...rest) => ["/api/jobs", ...[id, ...rest].map(encodeURIComponent)].join("/");

/** A link's address when it is http or https, else null: an address is data too. */
export function webAddress(url) {
  try {
    const parsed = new URL(url, location.origin);
    return parsed.protocol === "http:" || parsed.protocol === "https:" ? parsed.href : null;
  } catch {
    return null;
  }
}
