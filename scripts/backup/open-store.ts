/** The store that a person names. */
import { resolve } from 'node:path'

import { bucketStore } from './s3.ts'
import { folderStore, type Store } from './store.ts'

/** Begins with s3:// for a bucket. */
export function openStore(place: string, env: Readonly<Record<string, string | undefined>>): Store {
  return place.startsWith('s3://') ? bucketStore(place, env) : folderStore(resolve(place))
}
