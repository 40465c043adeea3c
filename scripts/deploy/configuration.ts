/** wrangler's configuration for one deployment: that of wrangler.toml, with the names and IDs of this account. Pure. */
import { isObject, type JsonObject, type JsonValue, own } from '../../worker/protocol/json/json.ts'

export interface Target {
  readonly worker: string
  readonly serverName: string
  readonly publicUrl: string
  readonly databaseId: string
  /** Patterns by which the Worker answers for the name itself too, such as example.org/.well-known/matrix/*. */
  readonly routes: ReadonlyArray<{ readonly pattern: string; readonly zone: string }>
}

export const bucketOf = (worker: string) => `${worker}-media`

/** `raw`: wrangler.toml as JSON; `folder`: from where the configuration will lie to the project. */
export function configurationOf(raw: JsonObject, target: Target, folder: string): JsonObject {
  const { worker, serverName, publicUrl, databaseId } = target
  const host = new URL(publicUrl).hostname
  const vars = own(raw, 'vars')
  const main = own(raw, 'main')
  const routes: JsonValue[] = [
    ...(host.endsWith('.workers.dev') ? [] : [{ pattern: host, custom_domain: true }]),
    ...target.routes.map(({ pattern, zone }) => ({ pattern, zone_name: zone })),
  ]
  return {
    ...raw,
    name: worker,
    main: `${folder}/${typeof main === 'string' ? main : ''}`,
    workers_dev: host.endsWith('.workers.dev'),
    preview_urls: false,
    vars: { ...(isObject(vars) ? vars : {}), SERVER_NAME: serverName, PUBLIC_URL: publicUrl },
    d1_databases: [{ binding: 'DB', database_name: worker, database_id: databaseId }],
    r2_buckets: [{ binding: 'MEDIA', bucket_name: bucketOf(worker) }],
    routes,
  }
}
