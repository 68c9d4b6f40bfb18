// What a client does that is typed by the document alone: it registers, signs in, posts, follows, and reads its feed.
// Whatever the document does not promise does not compile.

import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

type Post = components["schemas"]["Post"];

declare const process: { argv: string[] };

const baseUrl = process.argv[2] ?? "http://127.0.0.1:8080";
const api = createClient<paths>({ baseUrl });

function done<T>(what: string, answer: { data?: T; error?: components["schemas"]["Error"] | components["schemas"]["Problem"]; response: Response }): T {
  if (answer.data === undefined) {
    throw new Error(`${what}: ${answer.response.status} ${JSON.stringify(answer.error)}`);
  }
  return answer.data;
}

async function signedIn(username: string): Promise<{ id: string; headers: { Authorization: string } }> {
  const email = `${username}@example.com`;
  const password = "correct horse battery";
  const account = done("register", await api.POST("/users/auth/register", { body: { email, password, username } }));
  const session = done("login", await api.POST("/users/auth/login", { body: { email, password } }));
  return { id: account.id, headers: { Authorization: `Bearer ${session.access_token}` } };
}

const suffix = Date.now().toString(36);
const writer = await signedIn(`writer_${suffix}`);
const reader = await signedIn(`reader_${suffix}`);
done("follow", await api.POST("/users/{user_id}/follow", { params: { path: { user_id: writer.id } }, headers: reader.headers }));
const post: Post = done("post", await api.POST("/posts", { body: { content: "typed" }, headers: writer.headers }));
const feed = done("feed", await api.GET("/feed", { params: { query: { limit: 5 } }, headers: reader.headers }));
const first: Post | undefined = feed.feed[0];
if (first?.id !== post.id || first.author.id !== writer.id) {
  throw new Error(`the feed does not begin with the post: ${JSON.stringify(feed)}`);
}
const refused = await api.POST("/posts", { body: { content: " " }, headers: writer.headers });
if (refused.error === undefined || !("error" in refused.error) || refused.error.error !== "InvalidRequest") {
  throw new Error(`an empty post is refused by name: ${JSON.stringify(refused.error)}`);
}
console.log(`a typed client has read post ${first.id} in its feed`);
