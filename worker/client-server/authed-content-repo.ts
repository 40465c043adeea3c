/** Downloads for those who are signed in. Spec: client-server-api/#content-repository, authed-content-repo.yaml. */
import { cleanFileName } from '../../r2-media/content-disposition.ts'
import { mxcUriOf } from '../media/media-path.ts'
import { download, downloadThumbnail } from '../media/download.ts'
import { operation } from '../operation.ts'
import { previewUrl } from './content-repo.ts'

/** As these paths were before v1.11 (MSC3916). */
const older = '/_matrix/client/unstable/org.matrix.msc3916/media'

/** Spec: client-server-api/#get_matrixclientv1mediadownloadservernamemediaid */
export const getContentAuthed = operation(
  'GET /_matrix/client/v1/media/download/:serverName/:mediaId',
  { id: 'getContentAuthed', auth: 'accessToken', guests: true, aliases: [`${older}/download/:serverName/:mediaId`] },
  (call) => download(call, mxcUriOf(call.path)),
)

/** Spec: client-server-api/#get_matrixclientv1mediadownloadservernamemediaidfilename */
export const getContentOverrideNameAuthed = operation(
  'GET /_matrix/client/v1/media/download/:serverName/:mediaId/:fileName',
  {
    id: 'getContentOverrideNameAuthed',
    auth: 'accessToken',
    guests: true,
    aliases: [`${older}/download/:serverName/:mediaId/:fileName`],
  },
  (call) => download(call, mxcUriOf(call.path), cleanFileName(call.path.fileName)),
)

/** Spec: client-server-api/#get_matrixclientv1mediathumbnailservernamemediaid */
export const getContentThumbnailAuthed = operation(
  'GET /_matrix/client/v1/media/thumbnail/:serverName/:mediaId',
  {
    id: 'getContentThumbnailAuthed',
    auth: 'accessToken',
    guests: true,
    aliases: [`${older}/thumbnail/:serverName/:mediaId`],
  },
  (call) => downloadThumbnail(call, mxcUriOf(call.path)),
)

/** Spec: client-server-api/#get_matrixclientv1mediaconfig */
export const getConfigAuthed = operation(
  'GET /_matrix/client/v1/media/config',
  { id: 'getConfigAuthed', auth: 'accessToken', guests: true, aliases: [`${older}/config`] },
  ({ settings }) => ({ 'm.upload.size': settings.maxUploadSize }),
)

/** Spec: client-server-api/#get_matrixclientv1mediapreview_url */
export const getUrlPreviewAuthed = operation(
  'GET /_matrix/client/v1/media/preview_url',
  { id: 'getUrlPreviewAuthed', auth: 'accessToken', aliases: [`${older}/preview_url`] },
  (call) => previewUrl(call),
)
