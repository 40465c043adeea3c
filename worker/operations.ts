/** Every operation this server answers, by the spec's API files. Order matters only where a literal path segment meets a parameter. */
import type { Operation } from './operation.ts'

export const operations: readonly Operation[] = []
