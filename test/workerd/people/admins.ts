/** Admins of the server under test. */
import { env } from 'cloudflare:workers'

import { login, registerUser, type User } from '../client.ts'

export async function registerAdmin(name: string): Promise<User> {
  const user = await registerUser(name)
  await env.DB.prepare('UPDATE users SET is_admin = 1 WHERE user_id = ?').bind(user.userId).run()
  // What this isolate remembers of the first token is from before.
  return login(user)
}
