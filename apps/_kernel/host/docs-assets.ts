export const docsAsset = async (_name: string): Promise<Response | undefined> => undefined;
