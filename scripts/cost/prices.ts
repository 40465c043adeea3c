/**
 * What Cloudflare asks, in US dollars, and what it gives for nothing. Public list prices; taxes are not in them.
 *
 * Sources: developers.cloudflare.com /workers/platform/pricing, /durable-objects/platform/pricing, /d1/platform/pricing,
 * /r2/pricing.
 */
export const pricesAsOf = '2026-08-03'

/** The paid plan, a month, before anything is used. */
export const basePrice = 5

export type Billed =
  | 'worker_requests'
  | 'worker_cpu_ms'
  | 'object_requests'
  | 'object_gb_s'
  | 'object_rows_read'
  | 'object_rows_written'
  | 'd1_rows_read'
  | 'd1_rows_written'
  | 'r2_class_a'
  | 'r2_class_b'

export interface Price {
  readonly name: string
  /** A million more than what is included. */
  readonly perMillion: number
  /** In a month of the paid plan. */
  readonly included: number
  /** In a day of the free plan; undefined: there the month counts, or nothing does. */
  readonly freeADay?: number
}

const million = 1e6

export const prices: Readonly<Record<Billed, Price>> = {
  worker_requests: { name: 'Worker requests', perMillion: 0.3, included: 10 * million, freeADay: 100_000 },
  worker_cpu_ms: { name: 'Worker CPU, ms', perMillion: 0.02, included: 30 * million },
  object_requests: { name: 'object requests', perMillion: 0.15, included: million, freeADay: 100_000 },
  object_gb_s: { name: 'object GB-s', perMillion: 12.5, included: 400_000, freeADay: 13_000 },
  object_rows_read: { name: 'object rows read', perMillion: 0.001, included: 25e9, freeADay: 5 * million },
  object_rows_written: { name: 'object rows written', perMillion: 1, included: 50 * million, freeADay: 100_000 },
  d1_rows_read: { name: 'D1 rows read', perMillion: 0.001, included: 25e9, freeADay: 5 * million },
  d1_rows_written: { name: 'D1 rows written', perMillion: 1, included: 50 * million, freeADay: 100_000 },
  r2_class_a: { name: 'R2 class A', perMillion: 4.5, included: million },
  r2_class_b: { name: 'R2 class B', perMillion: 0.36, included: 10 * million },
}

/** Of storage, a GB and month: what is more than this costs so much. */
export const storagePrices = {
  objects: { perGb: 0.2, included: 5 },
  d1: { perGb: 0.75, included: 5 },
  r2: { perGb: 0.015, included: 10 },
} as const
