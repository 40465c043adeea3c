/**
 * Uploads, and the older paths of downloads, which need no token. Spec: client-server-api/#content-repository,
 * content-repo.yaml.
 *
 * Those older paths are frozen, "to prevent newly-uploaded media from being downloaded": they answer with media of this
 * server that was uploaded while the owner had lifted the freeze, and with other servers' media only until it is back.
 */
import { type MxcUri, printMxcUri } from '#protocol/identifiers/mxc-uri.ts'
import type { JsonObject } from '#protocol/json/json.ts'

import { cleanFileName } from '../../r2-media/content-disposition.ts'
import { newMediaId } from '../../r2-media/media-key.ts'
import { addMedia, awaitMedia, completeMedia, countAwaited, findMedia } from '../accounts/media.ts'
import { download, downloadThumbnail } from '../media/download.ts'
import { receiveUpload } from '../media/receive-upload.ts'
import { mxcUriOf } from '../media/media-path.ts'
import { urlPreview } from '../media/preview/url-preview.ts'
import { limitUser } from '../middleware/rate-limit.ts'
import { type Call, operation } from '../operation.ts'
import { refuse, refuseForNow } from '../refusal.ts'

/** "The recommended default expiration is 24 hours." */
const awaitedForMs = 86_400_000
/** "The server should limit the number of concurrent pending media uploads a given user can have." */
const maxAwaited = 50
const frozen = 'Media is for users who are signed in: ask under /_matrix/client/v1/media/'

/** Spec: client-server-api/#post_matrixmediav3upload */
export const uploadContent = operation(
  'POST /_matrix/media/v3/upload',
  { id: 'uploadContent', auth: 'accessToken', r0: true, aliases: ['/_matrix/media/v1/upload'] },
  async (call) => {
    const { env, settings, requester } = call
    limitUser('upload', requester.userId, settings)
    const uri = { serverName: settings.serverName, mediaId: newMediaId() }
    const isNew = await receiveUpload(call, (stored) => addMedia(env, uri, stored, requester.userId))
    if (!isNew) throw new Error('a media ID was given out twice')
    return { content_uri: printMxcUri(uri) }
  },
)

/** Spec: client-server-api/#post_matrixmediav1create */
export const createContent = operation(
  'POST /_matrix/media/v1/create',
  { id: 'createContent', auth: 'accessToken' },
  async ({ env, settings, requester }) => {
    limitUser('upload', requester.userId, settings)
    if ((await countAwaited(env, requester.userId)) >= maxAwaited) refuseForNow(60_000)
    const uri = { serverName: settings.serverName, mediaId: newMediaId() }
    const unused_expires_at = Date.now() + awaitedForMs
    await awaitMedia(env, uri, requester.userId, unused_expires_at)
    return { content_uri: printMxcUri(uri), unused_expires_at }
  },
)

/** Spec: client-server-api/#put_matrixmediav3uploadservernamemediaid */
export const uploadContentToMXC = operation(
  'PUT /_matrix/media/v3/upload/:serverName/:mediaId',
  { id: 'uploadContentToMXC', auth: 'accessToken' },
  async (call) => {
    const { env, settings, requester } = call
    limitUser('upload', requester.userId, settings)
    const uri = mxcUriOf(call.path)
    const found = uri.serverName === settings.serverName ? await findMedia(env, uri) : undefined
    if (!found) return refuse('not_found', 'That ID was not made here, or its time has run out')
    if (found.kind !== 'awaited') return refuse('cannot_overwrite_media')
    if (found.uploader !== requester.userId) return refuse('forbidden', 'Another user made that ID')
    // Two uploads to one ID may run at once: the first to be done wins.
    const isFirst = await receiveUpload(call, (stored) => completeMedia(env, uri, stored))
    return isFirst ? {} : refuse('cannot_overwrite_media')
  },
)

/** Spec: client-server-api/#get_matrixmediav3config */
export const getConfig = operation(
  'GET /_matrix/media/v3/config',
  { id: 'getConfig', auth: 'accessToken', guests: true, r0: true },
  ({ settings }) => ({ 'm.upload.size': settings.maxUploadSize }),
)

/** Spec: client-server-api/#get_matrixmediav3preview_url */
export const getUrlPreview = operation(
  'GET /_matrix/media/v3/preview_url',
  { id: 'getUrlPreview', auth: 'accessToken', r0: true },
  (call) => previewUrl(call),
)

/** As if the endpoint were not there while previews are off. */
export function previewUrl(call: Call<'', 'accessToken', undefined>): Promise<JsonObject> {
  const { settings, requester, query } = call
  if (!settings.urlPreviews) return refuse('unrecognized', 'This server makes no previews')
  limitUser('preview', requester.userId, settings)
  return urlPreview(call, query.get('url') ?? refuse('missing_param', 'url is missing'))
}

/** Spec: client-server-api/#get_matrixmediav3downloadservernamemediaid */
export const getContent = operation(
  'GET /_matrix/media/v3/download/:serverName/:mediaId',
  { id: 'getContent', auth: 'none', r0: true },
  async (call) => download(call, await thawed(call)),
)

/** Spec: client-server-api/#get_matrixmediav3downloadservernamemediaidfilename */
export const getContentOverrideName = operation(
  'GET /_matrix/media/v3/download/:serverName/:mediaId/:fileName',
  { id: 'getContentOverrideName', auth: 'none', r0: true },
  async (call) => download(call, await thawed(call), cleanFileName(call.path.fileName)),
)

/** Spec: client-server-api/#get_matrixmediav3thumbnailservernamemediaid */
export const getContentThumbnail = operation(
  'GET /_matrix/media/v3/thumbnail/:serverName/:mediaId',
  { id: 'getContentThumbnail', auth: 'none', r0: true },
  async (call) => downloadThumbnail(call, await thawed(call)),
)

/** The file of the path, where anybody may have it. */
async function thawed({
  env,
  settings,
  path,
  query,
}: Call<':serverName/:mediaId', 'none', undefined>): Promise<MxcUri> {
  const uri = mxcUriOf(path)
  if (uri.serverName !== settings.serverName) {
    const isOpen = !settings.freezesUnauthenticatedMedia && query.get('allow_remote') !== 'false'
    return isOpen ? uri : refuse('not_found', frozen)
  }
  const found = await findMedia(env, uri)
  if (found?.kind === 'awaited') refuse('not_yet_uploaded')
  return found?.kind === 'stored' && !found.media.needsToken ? uri : refuse('not_found', frozen)
}
