// The script of the login page. It shows the key of this browser, or that of an authenticator at the press of a button, takes a code back to the site, and looks whether the page has
// changed. It talks to its own site alone, reads no cookie, and can use the key of the browser but not read it.
'use strict'

// The fragment goes before anything else happens: it may hold a code, and a code is for one place alone.
const brought = new URLSearchParams(location.hash.slice(1))
if (location.hash) history.replaceState(null, '', location.pathname)

const facts = document.querySelector('main').dataset
const pause = milliseconds => new Promise(done => setTimeout(done, milliseconds))

/** Shows one of the texts that the page holds ready. */
function say(name) {
  for (const text of document.querySelectorAll('[data-text]')) text.hidden = text.dataset.text !== name
}

/** How far the login is, as the site says it; `gone` if it does not know this login in this browser. */
async function stateIn(answer) {
  return answer.ok ? (await answer.json()).state : 'gone'
}

/** Sends a step of a login; gives its new state. */
async function send(page, formKey, step, fields) {
  const body = new URLSearchParams({ ...fields, form_key: formKey })
  return stateIn(await fetch(`${page}/${step}`, { method: 'POST', body, redirect: 'error', cache: 'no-store' }))
}

/** What a request to the database of the browser gives. */
function given(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = request.onblocked = () => reject(request.error)
  })
}

/** What this browser keeps for this site. */
async function keptKeys() {
  const opening = indexedDB.open('vettid-login', 1)
  opening.onupgradeneeded = () => opening.result.createObjectStore('keys')
  const database = await given(opening)
  return mode => database.transaction('keys', mode).objectStore('keys')
}

/** The key of this browser: made here once, kept here, and never to be read by a script. */
async function browserKey() {
  const keys = await keptKeys()
  const kept = await given(keys('readonly').get('browser'))
  if (kept) return kept
  const made = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign', 'verify'])
  // If another tab was faster, its key is the one.
  await given(keys('readwrite').add(made, 'browser')).catch(() => {})
  return given(keys('readonly').get('browser'))
}

const base64 = bytes => btoa(String.fromCharCode(...new Uint8Array(bytes)))

/** Shows the key of this browser with its signature over the names of this one login. */
async function showKey() {
  const key = await browserKey()
  const text = new TextEncoder().encode(facts.toSign)
  const signature = await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, key.privateKey, text)
  const point = await crypto.subtle.exportKey('raw', key.publicKey)
  const shown = { browser_key: `p256:${base64(point)}`, signature: base64(signature) }
  await send(facts.page, facts.formKey, 'browser', shown)
}

/** Makes a key in an authenticator; this browser keeps its name. Nothing of it names a person, here or at another site. */
async function makeKey() {
  const [name, random] = [location.hostname, () => crypto.getRandomValues(new Uint8Array(32))]
  const made = await navigator.credentials.create({
    publicKey: {
      rp: { name },
      user: { id: random(), name, displayName: name },
      challenge: random(),
      pubKeyCredParams: [{ type: 'public-key', alg: -7 }],
      authenticatorSelection: { residentKey: 'discouraged', userVerification: 'preferred' },
      attestation: 'none',
    },
  })
  // The point stands at the end of the key, which proves itself when it is used.
  const point = made.response.getPublicKey().slice(-65)
  const key = { id: made.rawId, point, transports: made.response.getTransports() }
  await given((await keptKeys())('readwrite').put(key, 'authenticator'))
  return key
}

/** Shows the key of an authenticator with its word for the names of this one login. */
async function useKey({ id, point, transports }) {
  const challenge = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(facts.toSign))
  const allowCredentials = [{ type: 'public-key', id, transports }]
  const { response } = await navigator.credentials.get({
    publicKey: { challenge, allowCredentials, userVerification: 'preferred' },
  })
  const state = await send(facts.page, facts.formKey, 'browser', {
    browser_key: `webauthn-p256:${base64(point)}`,
    signature: base64(response.signature),
    credential_id: base64(id),
    authenticator_data: base64(response.authenticatorData),
    client_data_json: base64(response.clientDataJSON),
  })
  if (state === 'gone') throw new Error('the key was not taken')
}

/** Offers the key of an authenticator. It waits for a button: nobody is surprised by the window of the browser. */
async function offerKey() {
  if (!window.PublicKeyCredential) return
  let key = await given((await keptKeys())('readonly').get('authenticator'))
  const press = async makes => {
    if (makes || !key) key = await makeKey()
    await useKey(key)
  }
  for (const button of document.querySelectorAll('[data-key]')) {
    button.onclick = () => press(button.dataset.key === 'make').then(() => say('key-shown'), () => say('no-key'))
  }
  say(key ? 'use-key' : 'make-key')
}

/** Looks until the state is another one than the page shows. */
async function watch() {
  for (;;) {
    await pause(Number(facts.watchMs))
    // A look that did not arrive is repeated.
    const state = await fetch(`${facts.page}/state`, { cache: 'no-store' }).then(stateIn).catch(() => facts.state)
    // Another tab goes on with it.
    if (state === 'gone' || state === 'elsewhere') return say('over')
    if (state !== facts.state) return location.replace(facts.page)
  }
}

/** Takes the code to the login of this browser that it is for. A code for any other login stays here. */
async function bringCode() {
  const logins = [...document.querySelectorAll('[data-login]')].map(element => element.dataset)
  const [login, code] = [brought.get('login'), brought.get('code')]
  const own = logins.find(waiting => waiting.login === login)
  if (!own || !code) return say('not-ours')
  let state = 'asked'
  // The answer of the vault may come after its code.
  while (state === 'asked') {
    state = await send(own.page, own.formKey, 'code', { login, code }).catch(() => 'asked')
    if (state === 'asked') await pause(500)
  }
  location.replace(own.page)
}

async function begin() {
  for (const form of document.forms) {
    const mark = Object.assign(document.createElement('input'), { type: 'hidden', name: 'script', value: '1' })
    form.append(mark)
  }
  if ('brings' in facts) return bringCode()
  // A browser that keeps no key logs in by a link each time.
  if (facts.toSign) await ('asksForKey' in facts ? offerKey : showKey)().catch(() => {})
  if (facts.watchMs) await watch()
}

begin()
