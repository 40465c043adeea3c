/**
 * The script of the page for administrators. The access token is kept in memory alone and ends when the page is left. Whatever
 * the API tells is put into the page as text, never as HTML.
 */
export const adminScript = `
const byId = (id) => document.getElementById(id)
let token = ''
const call = async (method, path, body) => {
  const response = await fetch(path, {
    method,
    headers: { 'Content-Type': 'application/json', ...(token ? { Authorization: 'Bearer ' + token } : {}) },
    ...(body ? { body: JSON.stringify(body) } : {}),
  }).catch(() => { throw new Error('The server does not answer. Try again.') })
  const answer = await response.json().catch(() => ({}))
  if (response.ok) return answer
  throw new Error((answer.error || 'The server answers with an error (' + response.status + ')').replace(/[^.!?]$/, '$&.'))
}
const act = (work) => async () => {
  byId('problem').textContent = ''
  try { await work() } catch (error) { byId('problem').textContent = error.message }
}
const show = (list, items, nothing) => list.replaceChildren(...(items.length > 0 ? items : [item(nothing)]))
const item = (...parts) => {
  const line = document.createElement('li')
  line.append(...parts)
  return line
}
const strong = (text) => Object.assign(document.createElement('strong'), { textContent: text })
const small = (text, label, work) => {
  const button = Object.assign(document.createElement('button'), { className: 'small', textContent: text })
  button.setAttribute('aria-label', label)
  button.addEventListener('click', act(work))
  return button
}
const size = (bytes) => bytes < 1e6 ? Math.ceil(bytes / 1e3) + ' kB' : (bytes / 1e6).toFixed(1) + ' MB'
const day = (time) => new Date(time).toLocaleDateString()
const more = (page, shown) => page.total > shown ? [item('and ' + (page.total - shown) + ' more')] : []

const showUsers = async () => {
  const [page, media] = await Promise.all([
    call('GET', '/_synapse/admin/v2/users?guests=false&limit=100'),
    call('GET', '/_synapse/admin/v1/statistics/users/media?limit=500&order_by=media_length&dir=b')])
  const usage = new Map(media.users.map((user) => [user.user_id, user]))
  show(byId('users'), [...page.users.map((user) => {
    const used = usage.get(user.name)
    const facts = [user.admin && 'administrator', user.locked && 'locked', user.suspended && 'suspended',
      'since ' + day(user.creation_ts), used ? used.media_count + ' files, ' + size(used.media_length) : 'no files']
    return item(strong(user.name), ' ', facts.filter(Boolean).join(', '))
  }), ...more(page, page.users.length)], 'Nobody')
}
const tokens = '/_synapse/admin/v1/registration_tokens'
const showTokens = async () => {
  const { registration_tokens: all } = await call('GET', tokens)
  const good = all.filter(({ uses_allowed: most, completed, expiry_time: end }) =>
    (most === null || completed < most) && (end === null || end > Date.now()))
  show(byId('tokens'), good.map(({ token: code, uses_allowed: most, completed, expiry_time: end }) =>
    item(strong(code), ' ', most === null ? 'for any number' : 'for ' + (most - completed) + ' more',
      end === null ? '' : ', until ' + day(end), ' ', small('End', 'End the invitation ' + code, async () => {
        await call('DELETE', tokens + '/' + encodeURIComponent(code))
        await showTokens()
      }))), 'None is open.')
}
const showReports = async () => {
  const page = await call('GET', '/_hearth/admin/reports')
  show(byId('reports'), [...page.reports.map((report) => {
    const what = report.event_id ? 'the event ' + report.event_id + ' in ' + report.room_id
      : report.room_id ? 'the room ' + report.room_id : report.target_user_id
    return item(strong(what), ' by ' + report.user_id + ', ' + day(report.received_ts) + ': ' + (report.reason || 'no reason given') + ' ',
      small('Done', 'Remove the report of ' + what, async () => {
        await call('DELETE', '/_hearth/admin/reports/' + report.id)
        await showReports()
      }))
  }), ...more(page, page.reports.length)], 'Nothing was reported.')
}

const listsPath = '/_hearth/admin/policy_lists'
const showLists = async () => {
  const { policy_lists: all } = await call('GET', listsPath)
  show(byId('lists'), all.map(({ room_id: id, name, followed, rules: { user, room, server } }) =>
    item(strong(name || id), ' ' + user + ' rules for people, ' + room + ' for rooms, ' + server + ' for servers' +
      (followed ? '' : '; nobody of this server is in the room any more: new rules are not heard of') + ' ',
      small('Remove', 'Remove the list ' + (name || id), async () => {
        await call('DELETE', listsPath + '/' + encodeURIComponent(id))
        await showLists()
      }))), 'None is followed.')
}
const addList = byId('add-list')
addList.addEventListener('submit', async (event) => {
  event.preventDefault()
  const { room } = Object.fromEntries(new FormData(addList))
  await act(async () => {
    await call('POST', listsPath, { room: room.trim() })
    addList.reset()
    await showLists()
  })()
})

const section = byId('sign-in')
const form = section.querySelector('form')
const alert = section.querySelector('[role=alert]')
const signOut = async () => {
  const ended = token
  token = ''
  if (ended) await fetch('/_matrix/client/v3/logout', {
    method: 'POST', keepalive: true, headers: { Authorization: 'Bearer ' + ended } })
}
form.addEventListener('submit', async (event) => {
  event.preventDefault()
  alert.textContent = ''
  const { username: user, password } = Object.fromEntries(new FormData(form))
  try {
    const signedIn = await call('POST', '/_matrix/client/v3/login', { type: 'm.login.password', password,
      identifier: { type: 'm.id.user', user }, initial_device_display_name: 'Administration page' })
    token = signedIn.access_token
    await Promise.all([showUsers(), showReports(), showLists(), byId('tokens') && showTokens()])
    form.reset()
    section.hidden = true
    byId('inside').hidden = false
    byId('users-title').focus()
  } catch (error) {
    alert.textContent = error.message
    await signOut().catch(() => {})
  }
})
byId('sign-out').addEventListener('click', act(async () => {
  await signOut()
  location.reload()
}))
addEventListener('pagehide', signOut)
const invite = byId('invite')
if (invite) invite.addEventListener('click', act(async () => {
  const week = 7 * 24 * 60 * 60 * 1000
  const made = await call('POST', tokens + '/new', { uses_allowed: 1, expiry_time: Date.now() + week })
  byId('new-link').replaceChildren('Give this link to one person, within a week: ',
    strong(location.origin + '/#invitation=' + made.token))
  await showTokens()
}))
const signs = { good: '\u2713', doubt: '?', bad: '\u2717' }
byId('examine').addEventListener('click', act(async () => {
  const [button, sum] = [byId('examine'), byId('findings-sum')]
  button.disabled = true
  sum.textContent = 'Looking \u2026'
  byId('findings').replaceChildren()
  try {
    const { findings } = await call('GET', '/_hearth/admin/doctor')
    byId('findings').replaceChildren(...findings.map(({ state, about, what, next }) => {
      const line = item(strong(signs[state] + ' ' + about), ' ', what, ...(next ? [Object.assign(
        document.createElement('div'), { className: 'hint', textContent: 'Next: ' + next })] : []))
      line.className = state
      return line
    }))
    const faults = findings.filter(({ state }) => state === 'bad').length
    sum.textContent = faults === 0 ? 'All is well.' : faults === 1 ? '1 thing is wrong.' : faults + ' things are wrong.'
  } catch (error) {
    sum.textContent = ''
    throw error
  } finally {
    button.disabled = false
  }
}))
section.hidden = false
`
