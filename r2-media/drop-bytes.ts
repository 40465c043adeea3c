/** Deletes media from R2, with the thumbnails that were made of it. */

/** Keys that R2 deletes in one call. */
const mostAtOnce = 1000

/** The bytes under these storage keys, and all that was made of them. */
export async function dropBytes(bucket: R2Bucket, storageKeys: readonly string[]): Promise<void> {
  const thumbnails = await Promise.all(storageKeys.map((key) => bucket.list({ prefix: `thumbnail/${key}/` })))
  const keys = [...storageKeys, ...thumbnails.flatMap(({ objects }) => objects.map(({ key }) => key))]
  for (let from = 0; from < keys.length; from += mostAtOnce) await bucket.delete(keys.slice(from, from + mostAtOnce))
}

/** The storage key of the media that an object in R2 is, or was made of; undefined for objects of another kind. */
export function storageKeyOf(key: string): string | undefined {
  return /^(?:thumbnail\/)?((?:local|remote)\/[\w-]+)(?:\/.*)?$/.exec(key)?.[1]
}
