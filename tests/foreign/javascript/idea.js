// The phase `idea` in JavaScript: asks for one game idea and looks at the `idea.json` that was
// left. It is shorter than the built-in plugin, and judges the form of an idea only roughly.

import * as job from "gantry:phase/job@0.9.1";

const FILE = "idea.json";
const MOST_BYTES = 1 << 20;
const TEXTS = ["title", "theme", "pitch", "genre", "player_goal", "tone"];
const LISTS = ["core_loop", "palette"];

export const describe = {
  describe() {
    return {
      name: "idea",
      version: "1.0.0+javascript",
      summary: "Invents one small browser game, in JavaScript",
      requests: [],
    };
  },
};

export const prompt = {
  prompt() {
    const params = parsed("params", job.params());
    let text =
      `Invent one small browser game for the job ${JSON.stringify(job.name())}, and write it ` +
      `down as \`${FILE}\`: a JSON object with the texts ${TEXTS.join(", ")} and the lists ` +
      `${LISTS.join(", ")}, the last of exactly 5 colours as #rrggbb.\n`;
    if (Object.keys(params).length > 0) {
      text += `\nThe person who submitted it wishes: ${JSON.stringify(params)}\n`;
    }
    const feedback = job.feedback();
    if (feedback !== undefined) {
      text += `\nThe last attempt was sent back:\n\n${feedback}\n`;
    }
    return [{ name: "idea", prompt: text, stage: [], expects: [FILE] }];
  },
};

export const validate = {
  validate() {
    const problems = problemsOf(read());
    if (problems.length > 0) {
      return { decision: "revise", message: problems.join("\n") };
    }
    return { decision: "accept", message: "idea.json is complete, says JavaScript" };
  },
};

// A thrown value that has the shape of the interface's error is the answer; any other is a trap.
function parsed(what, text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw { tag: "invalid-job", val: `${what}: ${error.message}` };
  }
}

function read() {
  try {
    // This engine takes a u64 as a number; a BigInt would end the call.
    return job.read(FILE, 0, MOST_BYTES);
  } catch (error) {
    if ((error.payload ?? error).tag === "not-found") {
      return undefined;
    }
    throw error;
  }
}

// UTF-8; the engine in a component has no TextDecoder.
function text(bytes) {
  const escaped = Array.from(bytes, (byte) => "%" + byte.toString(16).padStart(2, "0"));
  return decodeURIComponent(escaped.join(""));
}

function problemsOf(content) {
  if (content === undefined) {
    return [`${FILE} is missing`];
  }
  let idea;
  try {
    idea = JSON.parse(text(content));
  } catch (error) {
    return [`${FILE}: ${error.message}`];
  }
  if (idea === null || typeof idea !== "object" || Array.isArray(idea)) {
    return [`${FILE} is no object`];
  }
  const isText = (value) => typeof value === "string" && value !== "";
  const isList = (value) => Array.isArray(value) && value.length > 0;
  return [
    ...TEXTS.filter((key) => !isText(idea[key])),
    ...LISTS.filter((key) => !isList(idea[key])),
  ].map((key) => `${FILE}: ${key} is missing or empty`);
}
