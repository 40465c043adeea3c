/** The figures as tables in Markdown. Pure. */
import type { Bill, Usage } from './bill.ts'

const columns = {
  worker_requests: 'Worker',
  object_requests: 'objects',
  object_rows_read: 'rows read there',
  object_rows_written: 'rows written there',
  d1_queries: 'D1 queries',
  d1_rows_read: 'rows read',
  d1_rows_written: 'rows written',
  r2_class_a: 'R2 A',
  r2_class_b: 'R2 B',
} as const

export function usageTable(measured: ReadonlyMap<string, Usage>): string {
  const rows = [...measured].map(([name, usage]) => [
    name,
    ...Object.keys(columns).map((unit) => figure(usage[unit] ?? 0)),
  ])
  return table(['one', ...Object.values(columns)], rows)
}

export function billTable({ lines }: Bill): string {
  const rows = lines.map(({ name, aMonth, cost, fitsFree }) => [
    name,
    Math.round(aMonth).toLocaleString('en-US'),
    cost === 0 ? 'included' : `$ ${cost.toFixed(2)}`,
    fitsFree ? 'yes' : 'no',
  ])
  return table(['a month', 'count', 'beyond the base price', 'fits the free plan'], rows)
}

function figure(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(1)
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map((_, n) => (n === 0 ? '---' : '--:'))), ...rows.map(line)].join('\n')
}
