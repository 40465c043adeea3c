/**
 * The page for administrators: who is here and how much they uploaded, invitations, what was reported,
 * and policy lists.
 *
 * The page itself holds nothing: its script signs in as any client does and asks the admin API, which decides who may know.
 */
import { operation } from '../operation.ts'
import { adminScript } from './admin-script.ts'
import { escapeHtml } from './page.ts'
import { styledPage } from './styled-page.ts'

export const showAdminPage = operation(
  'GET /_hearth/admin',
  { id: 'showAdminPage', auth: 'none' },
  ({ settings: { serverName, registration } }) => {
    const name = escapeHtml(serverName)
    const invitations =
      registration === 'token'
        ? '<section><h2 id="tokens-title">Invitations</h2><ul id="tokens" aria-labelledby="tokens-title"></ul>' +
          '<p id="new-link" role="status"></p><button id="invite">Make an invitation for one person</button></section>'
        : ''
    const body =
      `<header><h1>${name}</h1><p>For the administrators of this server.</p></header><main>` +
      '<noscript><p>This page needs JavaScript.</p></noscript>' +
      '<section id="sign-in" hidden><h2>Sign in</h2><form method="post"><label for="name">User name</label>' +
      '<input id="name" name="username" required autocomplete="username" autocapitalize="none" spellcheck="false">' +
      '<label for="password">Password</label><input id="password" name="password" type="password" required ' +
      'autocomplete="current-password"><p role="alert"></p><button>Sign in</button></form></section>' +
      '<p id="problem" role="alert"></p><div id="inside" hidden>' +
      '<section><h2 id="users-title" tabindex="-1">People</h2><ul id="users" aria-labelledby="users-title"></ul></section>' +
      `${invitations}<section><h2 id="reports-title">Reports</h2><ul id="reports" aria-labelledby="reports-title"></ul>` +
      '</section><section><h2 id="lists-title">Policy lists</h2><p>Rooms whose rules keep people, rooms and servers away: ' +
      'they are not invited and do not join.</p><ul id="lists" aria-labelledby="lists-title"></ul>' +
      '<form id="add-list" method="post"><label for="list">Room ID or alias of a list</label>' +
      '<input id="list" name="room" required autocapitalize="none" spellcheck="false" autocomplete="off">' +
      '<button>Follow</button></form></section><section><h2 id="findings-title">Check-up</h2><p>What clients and other servers meet, and what this server stands on. It asks itself; ' +
      '<code>npm run doctor</code> asks from elsewhere.</p><button id="examine">Look at this server</button>' +
      '<p id="findings-sum" role="status"></p><ul id="findings" aria-labelledby="findings-title"></ul></section>' +
      '<button id="sign-out">Sign out</button></div></main>'
    return styledPage(`${serverName}: administration`, body, adminScript)
  },
)
