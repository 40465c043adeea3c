/**
 * What was seen of a file when a thumbnail of it was wanted first. It is kept with the file, so that later views find their
 * thumbnail, or that the file itself is the answer, without another look at its bytes. Pure.
 */
import { type Orientation, orientationOf } from './orientation.ts'
import { pictureInfo, type PictureInfo } from './picture-info.ts'

export interface SeenPicture extends PictureInfo {
  readonly orientation: Orientation
  /** No decoder could make anything of it. */
  readonly isBroken: boolean
}

/** `none`: the file is no picture. */
export type PictureLook = SeenPicture | 'none'

/** Looks at the beginning of a file, or the whole where `turnsAtTheEnd`. */
export function lookAtPicture(bytes: Uint8Array): PictureLook {
  const picture = pictureInfo(bytes)
  if (!picture) return 'none'
  return { ...picture, orientation: orientationOf(bytes, picture.format), isBroken: false }
}
