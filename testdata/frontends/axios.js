// A front end with axios whose interceptors add the token, and refresh a JWT where an answer
// has the code token_not_valid. It runs in Node, and in a browser, where axios is a global.
// For the members of config see fetch.js.
async function life(config) {
  const axios = globalThis.axios ?? require("axios");
  const { api, back, mailbox, mode, scheme, slash, ann } = config;
  const storage = new Map(); // localStorage
  let refreshes = 0;

  function check(condition, what) {
    if (!condition) throw new Error(what);
  }

  const client = axios.create({ baseURL: api, timeout: 20000, headers: { "Content-Type": "application/json", accept: "application/json" } });
  client.interceptors.request.use((request) => {
    request.url = request.url.startsWith("http") ? request.url : request.url + slash;
    const token = storage.get("access");
    if (token) request.headers.Authorization = `${scheme} ${token}`;
    return request;
  });
  client.interceptors.response.use(
    (response) => response,
    async (error) => {
      const { config: original, response } = error;
      if (response?.status !== 401 || response.data.code !== "token_not_valid" || !storage.get("refresh") || original.retried) throw error;
      original.retried = true;
      const { data } = await axios.post(api + "jwt/refresh" + slash, { refresh: storage.get("refresh") });
      refreshes++;
      storage.set("access", data.access);
      if (data.refresh) storage.set("refresh", data.refresh);
      return client({ method: original.method, url: original.url.replace(/\/$/, ""), data: original.data, retried: true });
    },
  );

  async function refused(status, request) {
    try {
      await request;
    } catch (error) {
      check(error.response?.status === status, `${error.response?.status ?? error} ${JSON.stringify(error.response?.data)}, not ${status}`);
      return error.response.data;
    }
    throw new Error(`not refused with ${status}`);
  }

  async function linkTo(page, count = 1) {
    const { data } = await axios.get(mailbox, { params: { to: ann, page, count } });
    const [uid, token] = data.split("/").slice(-2);
    return { uid, token };
  }

  async function logIn(password) {
    storage.clear();
    const { data } = await client.post(mode === "token" ? "token/login" : "jwt/create", { email: ann, password });
    storage.set("access", data.auth_token ?? data.access);
    storage.set("refresh", data.refresh);
  }

  const first = "first-Long-pw-1", second = "second-Long-pw-2";
  const signedUp = await client.post("users", { email: ann, first_name: "Ann", password: first, re_password: first });
  check(signedUp.status === 201 && signedUp.data.email === ann, "not signed up");
  const activated = await client.post("users/activation", await linkTo("activate"));
  check(activated.status === 204 && activated.data === "", "not activated");
  await logIn(first);
  check((await client.get("users/me")).data.id === signedUp.data.id, "me is another");
  check((await client.get(back)).data.email === ann, "the back end knows another account");

  if (mode === "jwt") {
    // The access token has ended while the page was open.
    storage.set("access", storage.get("access").slice(0, -4) + "AAAA");
    check((await client.get("users/me")).data.email === ann && refreshes === 1, "not refreshed");
    storage.set("access", "ended");
    const changed = await client.patch("users/me", { phone: "1" });
    check(changed.data.phone === "1" && refreshes === 2, "not refreshed in the midst of a change");
    storage.set("access", storage.get("access").slice(0, -4) + "AAAA");
    check((await client.get(back)).data.email === ann && refreshes === 3, "not refreshed for the back end");
    check((await client.post("jwt/verify", { token: storage.get("access") })).status === 200, "not verified");
    // The refresh token has ended, too: the front end shows its log-in page.
    storage.set("access", "ended");
    storage.set("refresh", "ended");
    check((await refused(401, client.get("users/me"))).code === "token_not_valid", "no code");
    await logIn(first);
  }

  check((await refused(400, client.post("users/set_password", { current_password: "x", new_password: second, re_new_password: second }))).current_password, "no text");
  check((await client.post("users/set_password", { current_password: first, new_password: second, re_new_password: second })).status === 204, "the password didn't change");
  storage.clear();
  check((await client.post("users/reset_password", { email: ann })).status === 204, "no reset");
  check((await client.post("users/reset_password_confirm", { ...(await linkTo("password/reset")), new_password: first, re_new_password: first })).status === 204, "not reset");
  await refused(mode === "token" ? 400 : 401, logIn(second));
  await logIn(first);

  // axios.defaults of many front ends send what is in their storage, also if that is nothing.
  storage.clear();
  storage.set("access", "null");
  await refused(401, client.get("users"));
  await logIn(first);
  if (mode === "token") {
    check((await client.post("token/logout")).status === 204, "not logged out");
    await refused(401, client.get("users/me"));
    await logIn(first);
  }
  check((await client.delete("users/me", { data: { current_password: first } })).status === 204, "not deleted");
  storage.delete("refresh");
  await refused(401, client.get("users/me"));
}
