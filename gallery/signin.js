// Signing in with a token and out again. The token goes to the host once, for a cookie that no
// script can read; the page doesn't keep it.

import { call } from "./api.js";
import { h } from "./dom.js";
import { heading } from "./parts.js";

// Only whether to offer the way out.
const MARK = "gantry.signed-in";

/** Puts the form where the view was. */
export function showSignIn(root) {
  const token = h("input", { id: "token", type: "password", required: true, autocomplete: "current-password", spellcheck: "false" });
  const send = h("button", { class: "button primary", type: "submit" }, "Sign in");
  const said = h("p", { class: "field-error", role: "alert" });
  const form = h("form", { class: "card form narrow" },
    h("div", { class: "field" }, h("label", { for: "token" }, "Token"), token,
      h("p", { class: "dim hint" }, "The value of ", h("code", {}, "API_TOKEN"), ", or one that ", h("code", {}, "gantry token create"), " has printed.")),
    said, send);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    send.disabled = true;
    said.textContent = "";
    try {
      await call("POST", "/api/session", { body: { token: token.value.trim() } });
      remember(true);
      location.reload();
    } catch (error) {
      said.textContent = error.status === 401 ? "This token isn't known, or it was revoked." : error.message;
      send.disabled = false;
      token.select();
    }
  });
  root.replaceChildren(heading("Sign in"), form);
  document.title = "Sign in · Gantry";
  token.focus();
}

/** Offers the way out to who came in here. */
export function wireSignOut(button, complain) {
  button.hidden = !remembered();
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await call("DELETE", "/api/session");
    } catch (error) {
      if (error.status !== 401) {
        button.disabled = false;
        return complain(error.message);
      }
    }
    remember(false);
    location.reload();
  });
}

function remember(signedIn) {
  try {
    if (signedIn) localStorage.setItem(MARK, "1");
    else localStorage.removeItem(MARK);
  } catch {
    // Storage is blocked: then there is no button, and the cookie ends with its time.
  }
}

function remembered() {
  try {
    return localStorage.getItem(MARK) === "1";
  } catch {
    return false;
  }
}
