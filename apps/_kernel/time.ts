/** The instant so many seconds after another. */
export const later = (from: Date, seconds: number): Date => new Date(from.getTime() + seconds * 1000);
