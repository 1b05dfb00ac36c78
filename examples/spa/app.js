"use strict";
// A front end of the endpoints under /auth/, without a library. The part of the
// address after # says which view is shown.

// With a cookie, the browser sends it, and scripts never see a token. Without one,
// this tab keeps the token and sends it in a header.
const byToken = document.body.dataset.credentials === "token";

async function call(method, path, data) {
  const headers = { "Accept": "application/json" };
  if (data) headers["Content-Type"] = "application/json";
  const token = sessionStorage.getItem("token");
  if (byToken && token) headers["Authorization"] = "Token " + token;
  const answer = await fetch(path, {
    method, headers, body: data && JSON.stringify(data),
    credentials: byToken ? "omit" : "same-origin",
  });
  const text = await answer.text();
  const body = text && answer.headers.get("Content-Type")?.startsWith("application/json") ? JSON.parse(text) : text;
  if (!answer.ok) throw new Error(describe(body) || "The server answered " + answer.status + ".");
  return body;
}

// describe turns an error of the endpoints into a text: a detail, or messages by field.
function describe(body) {
  return typeof body === "string" ? "" : body.detail || Object.entries(body).map(([field, messages]) =>
    (field === "non_field_errors" ? "" : field + ": ") + [].concat(messages).join(" ")).join("\n");
}

const views = {
  login: () => form("Log in", { username: "text", password: "password" }, async data => {
    const { auth_token } = await call("POST", "/auth/login", data);
    if (byToken) sessionStorage.setItem("token", auth_token);
    location.hash = "#/profile";
  }, { "Register": "#/register", "Forgot your password?": "#/forgot" }),

  register: () => form("Register", { username: "text", email: "email", password: "password" }, async data => {
    await call("POST", "/auth/register", data);
    location.hash = "#/login";
    say("Your account is made. If you get a mail with a link, open it before you log in.");
  }, { "Log in": "#/login" }),

  activate: (uid, token) => form("Activate", {}, async () => {
    await call("POST", "/auth/activate", { uid, token });
    location.hash = "#/login";
    say("Your account is active.");
  }),

  forgot: () => form("Reset your password", { email: "email" }, async data => {
    await call("POST", "/auth/password/reset", data);
    say("If there is an account with this address, a mail is on its way.");
  }, { "Log in": "#/login" }),

  reset: (uid, token) => form("Choose a new password", { new_password: "password" }, async data => {
    await call("POST", "/auth/password/reset/confirm", { uid, token, ...data });
    location.hash = "#/login";
    say("Your password is changed.");
  }),

  profile: async () => {
    const me = await call("GET", "/auth/me");
    form("Hello " + me.username, {}, async () => {
      await call("POST", "/auth/logout");
      sessionStorage.removeItem("token");
      location.hash = "#/login";
    }, {}, "Log out");
    let told = "";
    try { told = await call("GET", "/api/"); } catch (error) { say(error.message); }
    document.querySelector("form").prepend(element("p", { textContent: "Your address is '" + me.email + "'." }),
      element("p", { textContent: typeof told === "string" ? told : JSON.stringify(told) }));
  },
};

function element(name, properties, ...children) {
  const e = Object.assign(document.createElement(name), properties);
  e.append(...children);
  return e;
}

const autocomplete = { username: "username", email: "email", password: "current-password", new_password: "new-password" };

// form shows a form with fields by name and type, and links below it.
function form(title, fields, send, links = {}, button = title) {
  const inputs = Object.entries(fields).map(([name, type]) => element("label", {}, name.replace("_", " "),
    element("input", { name, type, required: true, autocomplete: autocomplete[name] })));
  const f = element("form", {}, ...inputs, element("button", { type: "submit", textContent: button }));
  f.addEventListener("submit", event => {
    event.preventDefault();
    say("");
    send(Object.fromEntries(new FormData(f))).catch(error => say(error.message));
  });
  document.getElementById("main").replaceChildren(element("h1", { textContent: title }), f,
    ...Object.entries(links).map(([text, href]) => element("p", {}, element("a", { href, textContent: text }))));
}

function say(text) { document.getElementById("message").textContent = text; }

async function show() {
  const [view, ...rest] = location.hash.slice(2).split("/");
  try {
    await (Object.hasOwn(views, view) ? views[view] : views.profile)(...rest);
  } catch {
    location.hash = "#/login"; // nobody is logged in
  }
}

addEventListener("hashchange", show);
show();
