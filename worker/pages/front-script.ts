/**
 * The script of the front page: shows the forms that make accounts and sends them. Without it the page says all it has to say.
 *
 * Forms stay hidden until it runs, so that no browser sends a password by itself. The token of a one-time link stands in the
 * fragment of the address, which browsers send to nobody; the script takes it away from there at once.
 */
export const frontScript = `
const byId = (id) => document.getElementById(id)
const post = async (path, body) => {
  const response = await fetch(path, {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) })
    .catch(() => { throw new Error('The server does not answer. Try again.') })
  const answer = await response.json().catch(() => ({}))
  return { status: response.status, answer }
}
const line = ({ status, answer }) => {
  if (status === 429) return 'Too many attempts. Try again in ' + Math.ceil((answer.retry_after_ms || 1000) / 1000) + ' seconds.'
  const text = answer.error || 'The server answers with an error (' + status + ').'
  return /[.!?]$/.test(text) ? text : text + '.'
}
const welcome = (section, userId) => {
  section.hidden = true
  for (const each of document.querySelectorAll('.instead')) each.hidden = true
  byId('made-id').textContent = userId
  byId('made').hidden = false
  byId('made-title').focus()
}
const prepare = (section, send) => {
  const form = section.querySelector('form')
  const problem = section.querySelector('[role=alert]')
  const button = form.querySelector('button')
  form.addEventListener('change', ({ target }) => {
    if (target.name === 'show') form.elements.password.type = target.checked ? 'text' : 'password'
  })
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    problem.textContent = ''
    button.disabled = true
    try {
      const made = await send(Object.fromEntries(new FormData(form)))
      if (made.status === 200) welcome(section, made.answer.user_id)
      else {
        problem.textContent = line(made)
        const code = made.answer.errcode
        const field = code === 'M_WEAK_PASSWORD' ? 'password' : /USER|EXCLUSIVE/.test(code) ? 'username' : 'token'
        const input = form.elements[field]
        if (input) input.focus()
      }
    } catch (error) {
      problem.textContent = error.message
    }
    button.disabled = false
  })
}

const register = byId('register')
if (register) {
  prepare(register, async ({ username, password, token }) => {
    const wanted = { username, password, inhibit_login: true }
    const send = (auth) => post('/_matrix/client/v3/register', auth ? { ...wanted, auth } : wanted)
    let now = await send()
    for (let step = 0; step < 5 && now.status === 401 && now.answer.session; step++) {
      const { session, flows, completed = [], errcode } = now.answer
      if (errcode) return { status: 403, answer: { error: 'That invitation code is not valid' } }
      const type = flows[0].stages[completed.length]
      now = await send({ type, session, ...(type === 'm.login.registration_token' ? { token } : {}) })
    }
    return now
  })
  register.hidden = false
  const invited = /^#invitation=([A-Za-z0-9._~-]{1,64})$/.exec(location.hash)
  const field = register.querySelector('[name=token]')
  if (invited && field) {
    field.value = invited[1]
    history.replaceState(null, '', location.pathname)
  }
}

const first = byId('first')
let linkToken = ''
prepare(first, ({ username, password }) => post('/_hearth/first-account', { token: linkToken, username, password }))
const openLink = async () => {
  const given = /^#first-account=(.+)$/.exec(location.hash)
  if (!given) return
  linkToken = given[1]
  history.replaceState(null, '', location.pathname)
  try {
    const asked = await post('/_hearth/first-account/validity', { token: linkToken })
    const valid = asked.answer.valid === true
    byId('link-problem').textContent = valid ? ''
      : asked.status === 200 ? 'This link was used already, or it is too old.' : line(asked)
    first.hidden = !valid
    if (!valid) return
    if (register) register.hidden = true
    for (const each of document.querySelectorAll('.instead')) each.hidden = true
    first.querySelector('input').focus()
  } catch (error) {
    byId('link-problem').textContent = error.message
  }
}
addEventListener('hashchange', openLink)
openLink()
`
