// A real OpenID Connect provider (oidc-provider) for the tests: provider.mjs PORT KEY_ID
//
// It issues access tokens as JWTs to whoever asks at /token with grant_type=tests: `subject`, `email`, `email_verified`,
// `resource` (the audience) and `life` (seconds) are taken from the request. Its keys are made at start and named KEY_ID,
// so that one started again on the same port has another key. It prints `ready` when it can be asked.
import { generateKeyPairSync } from "node:crypto";
import Provider from "oidc-provider";

const [port, keyId] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const key = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" });

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: "tests",
      client_secret: "only-between-the-tests-and-this-process",
      grant_types: ["tests"],
      redirect_uris: [],
      response_types: [],
      id_token_signed_response_alg: "ES256",
    },
  ],
  jwks: { keys: [{ ...key, kid: keyId, alg: "ES256", use: "sig" }] },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  extraTokenClaims: (_, token) => token.extra,
  features: {
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_, resource) => ({
        audience: resource,
        scope: "api",
        accessTokenFormat: "jwt",
        jwt: { sign: { alg: "ES256" } },
      }),
    },
  },
});

const parameters = ["subject", "email", "email_verified", "audience", "life"];
provider.registerGrantType(
  "tests",
  async (ctx) => {
    const { subject, email, email_verified, audience, life } = ctx.oidc.params;
    const { AccessToken, ResourceServer } = provider;
    const token = new AccessToken({ accountId: subject, client: ctx.oidc.client, scope: "api", expiresIn: Number(life) });
    token.extra = { email, email_verified: email_verified === "true" };
    token.resourceServer = new ResourceServer(audience, {
      audience,
      scope: "api",
      accessTokenFormat: "jwt",
      jwt: { sign: { alg: "ES256" } },
    });
    ctx.body = { access_token: await token.save(), token_type: "Bearer", expires_in: token.expiration };
  },
  parameters,
);

provider.listen(Number(port), "127.0.0.1", () => console.log("ready"));
