/** What the server stands on, as it tells its administrator: worker/client-server/health.ts. */
import { askJson, textIn } from '../../worker/doctor/answers.ts'
import { bad, doubt, type Finding, good } from '../../worker/doctor/findings.ts'
import type { Surroundings } from '../../worker/doctor/surroundings.ts'
import { own } from '../../worker/protocol/json/json.ts'

export async function examineInside(base: string, token: string, world: Surroundings): Promise<Finding[]> {
  const headers = { Authorization: `Bearer ${token}` }
  const fetched = await askJson(world, { url: `${base}/_hearth/admin/health`, headers })
  if (!fetched.ok) {
    const next =
      fetched.status === 401 || fetched.status === 403
        ? 'take the access token of an administrator of this server: in Element, Settings → Help & About → Advanced'
        : 'is it a server of this project, and of this version? npm run deploy'
    return [bad('Inside', `the server ${fetched.message}`, next)]
  }
  const checks = own(fetched.json, 'checks')
  return (Array.isArray(checks) ? checks : []).map((check): Finding => {
    const [about, state, what, next] = ['about', 'state', 'what', 'next'].map((name) => textIn(check, name))
    if (state === 'good') return good(about ?? '', what ?? '')
    return (state === 'off' ? doubt : bad)(about ?? '', what ?? '', next || 'look into the log: npx wrangler tail')
  })
}
