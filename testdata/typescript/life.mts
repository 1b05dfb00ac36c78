// The life of an account with a client that is made from openapi.json: a path, a member or an
// answer that isn't described is an error of the compiler.
import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./auth.mjs";

interface Config {
  api: string; // address of the endpoints
  mailbox: string; // address that answers with the link of a mail: ?to=, &page=
  ann: string; // address of the account
}

function check(condition: unknown, what: string): asserts condition {
  if (!condition) throw new Error(what);
}

export async function life({ api, mailbox, ann }: Config): Promise<void> {
  let authorization: string | undefined;
  const auth = createClient<paths>({ baseUrl: api });
  auth.use({
    onRequest({ request }) {
      if (authorization) request.headers.set("Authorization", authorization);
      return request;
    },
  });

  // want returns the data of an answer with a status.
  async function want<T>(status: number, answer: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<NonNullable<T>> {
    const { data, error, response } = await answer;
    check(response.status === status, `${response.url}: ${response.status} ${JSON.stringify(error)}, not ${status}`);
    return data as NonNullable<T>;
  }

  async function linkTo(page: string): Promise<{ uid: string; token: string }> {
    const url = await (await fetch(`${mailbox}?to=${encodeURIComponent(ann)}&page=${page}`)).text();
    const [uid, token] = url.split("/").slice(-2);
    check(uid && token, `no link in ${url}`);
    return { uid, token };
  }

  async function logIn(password: string): Promise<void> {
    authorization = undefined;
    const { auth_token } = await want(200, auth.POST("/token/login/", { body: { email: ann, password } }));
    authorization = `Token ${auth_token}`;
  }

  // Sign up, and activate.
  const first = "first-Long-pw-1", second = "second-Long-pw-2", third = "third-Long-pw-3";
  const wrong = await auth.POST("/users/", { body: { email: "ann", first_name: "Ann", password: first, re_password: second } });
  check(wrong.response.status === 400 && wrong.error, "a wrong address is taken");
  check("email" in wrong.error && wrong.error.email?.[0] === "Enter a valid email address.", `sign-up: ${JSON.stringify(wrong.error)}`);
  const signedUp: components["schemas"]["User"] = await want(201, auth.POST("/users/", { body: { email: ann, first_name: "Ann", password: first, re_password: first } }));
  check(signedUp.email === ann && signedUp.phone === "", `signed up: ${JSON.stringify(signedUp)}`);
  await want(400, auth.POST("/token/login/", { body: { email: ann, password: first } }));
  await want(204, auth.POST("/users/activation/", { body: await linkTo("activate") }));

  // Log in, look and change.
  await logIn(first);
  const me = await want(200, auth.GET("/users/me/"));
  check(me.id === signedUp.id && me.first_name === "Ann", `me: ${JSON.stringify(me)}`);
  const changed = await want(200, auth.PATCH("/users/me/", { body: { phone: "+49 30 1" } }));
  check(changed.phone === "+49 30 1", `changed: ${JSON.stringify(changed)}`);
  const byId = await want(200, auth.GET("/users/{id}/", { params: { path: { id: me.id } } }));
  check(byId.phone === changed.phone, `by its id: ${JSON.stringify(byId)}`);
  const all = await want(200, auth.GET("/users/", { params: { query: { limit: 10 } } }));
  check(all.length === 1 && all[0]?.id === me.id, `list: ${JSON.stringify(all)}`);

  // Another password, and a forgotten one.
  await want(204, auth.POST("/users/set_password/", { body: { current_password: first, new_password: second, re_new_password: second } }));
  authorization = undefined;
  await want(204, auth.POST("/users/reset_password/", { body: { email: ann } }));
  await want(204, auth.POST("/users/reset_password_confirm/", { body: { ...(await linkTo("password/reset")), new_password: third, re_new_password: third } }));
  await logIn(third);

  // A token for a program, which only reads.
  const login = authorization;
  const named = await want(201, auth.POST("/tokens/", { body: { name: "calendar", expires: "90d", scopes: ["dav"] } }));
  authorization = `Bearer ${named.token}`;
  check((await want(200, auth.GET("/users/me/"))).id === me.id, "the named token is of another account");
  await want(403, auth.PATCH("/users/me/", { body: { phone: "" } }));
  authorization = login;
  const tokens = await want(200, auth.GET("/tokens/"));
  check(tokens.some(({ id, scopes }) => id === named.id && scopes?.[0] === "dav"), `tokens: ${JSON.stringify(tokens)}`);
  await want(204, auth.DELETE("/tokens/{id}/", { params: { path: { id: named.id } } }));

  // JSON Web Tokens.
  authorization = undefined;
  const pair = await want(200, auth.POST("/jwt/create/", { body: { email: ann, password: third } }));
  const refreshed = await want(200, auth.POST("/jwt/refresh/", { body: { refresh: pair.refresh } }));
  await want(200, auth.POST("/jwt/verify/", { body: { token: refreshed.access } }));
  const bad = await auth.POST("/jwt/verify/", { body: { token: "x" } });
  check(bad.response.status === 401 && bad.error && "code" in bad.error && bad.error.code === "token_not_valid", `a bad token: ${JSON.stringify(bad.error)}`);
  check((await want(200, auth.GET("/.well-known/jwks.json"))).keys[0]?.kty === "EC", "no key");
  authorization = `JWT ${refreshed.access}`;
  check((await want(200, auth.GET("/users/me/"))).id === me.id, "the access token is of another account");

  // Log out, and leave.
  await want(204, auth.POST("/token/logout/"));
  await want(401, auth.GET("/users/me/"));
  await logIn(third);
  await want(204, auth.DELETE("/users/me/", { body: { current_password: third } }));
  await want(401, auth.GET("/users/me/"));
}

// What the types refuse: the compiler complains of a line that it would take.
export function refused(auth: Client<paths>): void {
  // @ts-expect-error: there is no such path
  void auth.GET("/users/you/");
  // @ts-expect-error: the path has no such method
  void auth.DELETE("/users/activation/");
  // @ts-expect-error: members are missing
  void auth.POST("/users/", { body: { email: "ann@example.com" } });
  // @ts-expect-error: the phone is a text
  void auth.PATCH("/users/me/", { body: { phone: 1 } });
}
