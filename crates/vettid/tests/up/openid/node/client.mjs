// Logs somebody in with openid-client: prints where the browser has to go, reads where it came back to.
import * as client from 'openid-client'
import { createInterface } from 'node:readline/promises'

const { ISSUER, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, SCOPE } = process.env
const issuer = new URL(ISSUER)
// Nothing but the issuer of a test on this machine has no TLS.
const execute = issuer.protocol === 'http:' ? [client.allowInsecureRequests] : []
const config = await client.discovery(issuer, CLIENT_ID, CLIENT_SECRET, undefined, { execute })

const pkceCodeVerifier = client.randomPKCECodeVerifier()
const expectedState = client.randomState()
const expectedNonce = client.randomNonce()
const start = client.buildAuthorizationUrl(config, {
  redirect_uri: REDIRECT_URI,
  scope: SCOPE,
  code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
  code_challenge_method: 'S256',
  state: expectedState,
  nonce: expectedNonce,
  prompt: 'login',
})
console.log(JSON.stringify({ start: start.href }))

const lines = createInterface({ input: process.stdin })
const back = new URL(await lines.question(''))
lines.close()
const tokens = await client.authorizationCodeGrant(config, back, { pkceCodeVerifier, expectedState, expectedNonce })
const claims = tokens.claims()
const person = await client.fetchUserInfo(config, tokens.access_token, claims.sub)
let refreshed = null
if (tokens.refresh_token) {
  refreshed = (await client.refreshTokenGrant(config, tokens.refresh_token)).claims().sub === claims.sub
}
console.log(JSON.stringify({ claims, person, refreshed }))
