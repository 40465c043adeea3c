/** A setting that cannot be used; its message is for the owner. */
export class SettingError extends Error {}
