// The life of an account, as a front end for djoser 2 with fetch goes through it. It runs in
// Node, and in a browser on another origin.
//
// life(config) throws where the front end would fail. Members of config:
//
//	api      address of the endpoints, with a slash at the end
//	back     address of a page behind the gate, which answers with the account's address
//	mailbox  address that answers with the link of a mail: ?to=, &page=, &count=
//	mode     "token" for /token/login/, "jwt" for /jwt/create/
//	scheme   word before the token in Authorization
//	slash    "/" or "", at the end of each path
//	ann      address of the account
async function life(config) {
  const { api, back, mailbox, mode, scheme, slash, ann } = config;
  let session = null;

  function check(condition, what) {
    if (!condition) throw new Error(what);
  }

  // As many front ends do, send reads JSON from every answer but 204.
  async function send(method, path, body, authorization) {
    const headers = { Accept: "application/json", "Content-Type": "application/json" };
    if (authorization) headers.Authorization = authorization;
    const address = path.startsWith("http") ? path : api + path + slash;
    const response = await fetch(address, { method, headers, body: body && JSON.stringify(body) });
    const data = response.status === 204 ? await response.text() : await response.json();
    return { status: response.status, data };
  }

  async function want(status, method, path, body) {
    const answer = await send(method, path, body, session && `${scheme} ${session}`);
    check(answer.status === status, `${method} ${path}: ${answer.status} ${JSON.stringify(answer.data)}, not ${status}`);
    if (status === 204) check(answer.data === "", `${method} ${path}: 204 with a body`);
    return answer.data;
  }

  async function linkTo(address, page, count = 1) {
    const url = await (await fetch(`${mailbox}?to=${encodeURIComponent(address)}&page=${page}&count=${count}`)).text();
    const [uid, token] = url.split("/").slice(-2);
    check(uid && token, `no link in ${url}`);
    return { uid, token };
  }

  // A log-in, and what the front end makes of its answer.
  let refresh = null;
  async function logIn(email, password) {
    session = null;
    if (mode === "token") {
      session = (await want(200, "POST", "token/login", { email, password })).auth_token;
      check(/^[0-9a-f]{40}$/.test(session), "no token");
      return;
    }
    ({ access: session, refresh } = await want(200, "POST", "jwt/create", { email, password }));
    const { exp, user_id } = JSON.parse(atob(session.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")));
    const left = exp - Date.now() / 1000;
    check(left > 0 && left <= 301, `the token has ${left} seconds left, not five minutes`);
    check(user_id === me.id, `the token is of ${user_id}, not ${me.id}`);
  }

  async function cannotLogIn(email, password) {
    session = null;
    const refused = mode === "token" ? await want(400, "POST", "token/login", { email, password }) : await want(401, "POST", "jwt/create", { email, password });
    check(mode === "token" ? refused.non_field_errors.length === 1 : refused.detail, "no text for a wrong log-in");
  }

  // Sign up, with a few mistakes first.
  const first = "first-Long-pw-1", second = "second-Long-pw-2", third = "third-Long-pw-3";
  let wrong = await want(400, "POST", "users", { email: "ann", password: "x", re_password: "y" });
  check(wrong.email[0] === "Enter a valid email address." && wrong.first_name[0] === "This field is required.", `sign-up: ${JSON.stringify(wrong)}`);
  wrong = await want(400, "POST", "users", { email: ann, first_name: "Ann", password: first, re_password: second });
  check(wrong.non_field_errors[0] === "The two password fields didn't match.", `sign-up: ${JSON.stringify(wrong)}`);
  const me = await want(201, "POST", "users", { email: ann, first_name: "Ann", phone: "", password: first, re_password: first });
  check(me.email === ann && me.first_name === "Ann" && me.phone === "" && Number.isInteger(me.id) && !("password" in me), `signed up: ${JSON.stringify(me)}`);
  wrong = await want(400, "POST", "users", { email: ann, first_name: "Ann", password: first, re_password: first });
  check(wrong.email.length === 1, `signed up twice: ${JSON.stringify(wrong)}`);

  // Activate.
  await cannotLogIn(ann, first);
  await linkTo(ann, "activate");
  await want(204, "POST", "users/resend_activation", { email: ann });
  const activation = await linkTo(ann, "activate", 2);
  wrong = await want(400, "POST", "users/activation", { uid: activation.uid, token: "5-abc" });
  check(wrong.token[0] === "Invalid token for given user.", `activation: ${JSON.stringify(wrong)}`);
  await want(204, "POST", "users/activation", activation);
  wrong = await want(403, "POST", "users/activation", activation);
  check(wrong.detail === "Stale token for given user.", `activated twice: ${JSON.stringify(wrong)}`);

  // Log in, look and change.
  await cannotLogIn(ann, second);
  await logIn(ann, first);
  check((await want(200, "GET", "users/me")).email === ann, "me is another");
  check((await want(200, "PATCH", "users/me", { phone: "+49 30 1" })).phone === "+49 30 1", "the phone didn't change");
  const put = await want(200, "PUT", "users/me", { first_name: "Anna", phone: "" });
  check(put.first_name === "Anna" && put.email === ann, `put: ${JSON.stringify(put)}`);
  const list = await want(200, "GET", "users");
  check(list.length === 1 && list[0].id === me.id, `list: ${JSON.stringify(list)}`);
  check((await want(200, "GET", `users/${me.id}`)).first_name === "Anna", "the account by its id is another");
  await want(404, "GET", "users/4711");
  check((await want(200, "GET", back)).email === ann, "the back end knows another account");

  // A JWT ends, and is refreshed.
  if (mode === "jwt") {
    const good = session;
    await want(200, "POST", "jwt/verify", { token: good });
    session = good.slice(0, -4) + "AAAA";
    const ended = await want(401, "GET", "users/me");
    check(ended.code === "token_not_valid", `a bad token: ${JSON.stringify(ended)}`);
    session = null;
    check((await want(401, "POST", "jwt/verify", { token: good + "x" })).code === "token_not_valid", "a bad token is verified");
    check((await want(401, "POST", "jwt/refresh", { refresh: good })).code === "token_not_valid", "an access token is refreshed");
    const renewed = await want(200, "POST", "jwt/refresh", { refresh });
    session = renewed.access;
    refresh = renewed.refresh ?? refresh;
    await want(200, "GET", "users/me");
  }

  // Another password.
  wrong = await want(400, "POST", "users/set_password", { current_password: "wrong", new_password: second, re_new_password: second });
  check(wrong.current_password[0] === "Invalid password.", `set_password: ${JSON.stringify(wrong)}`);
  await want(204, "POST", "users/set_password", { current_password: first, new_password: second, re_new_password: second });

  // A forgotten password.
  session = null;
  await want(204, "POST", "users/reset_password", { email: "nobody@example.com" });
  await want(204, "POST", "users/reset_password", { email: ann });
  const reset = await linkTo(ann, "password/reset");
  wrong = await want(400, "POST", "users/reset_password_confirm", { ...reset, new_password: third, re_new_password: "other" });
  check(wrong.non_field_errors[0] === "The two password fields didn't match.", `reset: ${JSON.stringify(wrong)}`);
  await want(204, "POST", "users/reset_password_confirm", { ...reset, new_password: third, re_new_password: third });
  await want(400, "POST", "users/reset_password_confirm", { ...reset, new_password: third, re_new_password: third });
  await cannotLogIn(ann, second);
  await logIn(ann, third);

  // Another address, which people log in with, and one by a link.
  const anna = "a" + ann, anne = "e" + ann;
  await want(400, "POST", "users/set_email", { new_email: anna, current_password: "wrong" });
  await want(204, "POST", "users/set_email", { new_email: anna, current_password: third });
  await want(204, "POST", "users/activation", await linkTo(anna, "activate"));
  await logIn(anna, third);
  session = null;
  await want(204, "POST", "users/reset_email", { email: anna });
  await want(204, "POST", "users/reset_email_confirm", { ...(await linkTo(anna, "username/reset")), new_email: anne });
  await want(204, "POST", "users/activation", await linkTo(anne, "activate"));
  await logIn(anne, third);

  // Log out, and leave.
  if (mode === "token") {
    const token = session;
    await want(204, "POST", "token/logout");
    await want(401, "GET", "users/me");
    await want(401, "GET", back);
    session = null;
    await want(401, "GET", "users/me");
    await logIn(anne, third);
    check(session !== token, "the token is the old one");
  }
  await want(400, "DELETE", "users/me", { current_password: "wrong" });
  await want(204, "DELETE", "users/me", { current_password: third });
  await want(401, "GET", "users/me");
  await cannotLogIn(anne, third);
}
