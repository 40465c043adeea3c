/**
 * Pages that log in or register for a client that cannot: it shows them and waits for the answer.
 *
 * Spec: client-server-api/#login-fallback: "The page will attempt to call the JavaScript function
 * `window.matrixLogin.onLogin(response)`", "Non-credential parameters valid for the `/login` endpoint can be provided as query
 * string parameters here"; #register-fallback: `window.matrixRegistration.onRegistered(...)`. The script reads the parameters by
 * itself: nothing of the address stands in the page.
 */
import { operation } from '../operation.ts'
import { pageResponse } from '../pages/page.ts'

const shared = `
const form = document.querySelector('form'), problem = document.querySelector('[role=alert]')
const given = new URLSearchParams(location.search)
const wishes = {}
for (const name of ['device_id', 'initial_device_display_name']) if (given.has(name)) wishes[name] = given.get(name)
if (given.has('refresh_token')) wishes.refresh_token = given.get('refresh_token') === 'true'
const post = async (path, body) => {
  const response = await fetch('/_matrix/client/v3' + path, {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) })
  return { status: response.status, body: await response.json() }
}
const finish = () => { form.hidden = true; problem.textContent = 'You are signed in.' }
form.addEventListener('submit', async (event) => {
  event.preventDefault()
  problem.textContent = ''
  const { user, password, token } = Object.fromEntries(new FormData(form))
  try { await run(user, password, token) } catch (error) { problem.textContent = String(error.message || error) }
})
`

const loginScript = `${shared}
const run = async (user, password) => {
  const { status, body } = await post('/login', {
    ...wishes, type: 'm.login.password', identifier: { type: 'm.id.user', user }, password })
  if (status !== 200) throw new Error(body.error)
  if (window.matrixLogin && window.matrixLogin.onLogin) window.matrixLogin.onLogin(body)
  finish()
}`

const registerScript = `${shared}
const run = async (user, password, token) => {
  const wanted = { ...wishes, username: user, password }
  let answer = await post('/register', wanted)
  const { session } = answer.body
  for (const type of answer.status === 401 && answer.body.flows ? answer.body.flows[0].stages : []) {
    answer = await post('/register', { ...wanted, auth: { type, session, token } })
  }
  if (answer.status !== 200) throw new Error(answer.body.error || 'This server does not register accounts this way')
  const { user_id, home_server, access_token, device_id } = answer.body
  if (window.matrixRegistration && window.matrixRegistration.onRegistered) {
    window.matrixRegistration.onRegistered(home_server, user_id, access_token, device_id)
  }
  finish()
}`

const body = (button: string, more = '') =>
  '<p role="alert"></p><form><label for="user">User name</label><input id="user" name="user" required autocomplete="username">' +
  `<label for="password">Password</label><input id="password" name="password" type="password" required>${more}` +
  `<button>${button}</button></form>`

const tokenField = '<label for="token">Registration token, if you were given one</label><input id="token" name="token">'

/** Spec: client-server-api/#login-fallback */
export const staticLogin = operation(
  'GET /_matrix/static/client/login/',
  { id: 'loginFallbackPage', auth: 'none', aliases: ['/_matrix/static/client/login'] },
  () => pageResponse({ title: 'Sign in', body: body('Sign in'), script: loginScript }),
)

/** Spec: client-server-api/#register-fallback */
export const staticRegister = operation(
  'GET /_matrix/static/client/register/',
  { id: 'registerFallbackPage', auth: 'none', aliases: ['/_matrix/static/client/register'] },
  () => pageResponse({ title: 'New account', body: body('Register', tokenField), script: registerScript }),
)
