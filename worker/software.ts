/** What this program calls itself to other servers and in logs. */
export const softwareName = 'Hearth'
export const softwareVersion = '0.1.0'
