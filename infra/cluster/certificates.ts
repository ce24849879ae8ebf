import { type CertificateFolder, certificateFolder, certified } from "@mall/mall/certificate-folder";

const lifeHours = 24;
const renewMs = 8 * 3_600_000;
const trustDomain = "cluster.mall";

/** New certificates for everybody, of the newest authority. */
export async function issueAll(folder: CertificateFolder): Promise<void> {
  for (const name of certified) await folder.issue(name, lifeHours, new Date());
}

/** Certificates for the processes of this machine, in a folder that is made where it is missing. */
export async function clusterCertificates(path: string): Promise<CertificateFolder> {
  const folder = certificateFolder(path);
  if (folder.authorities().length === 0) await folder.addAuthority(trustDomain, new Date());
  await issueAll(folder);
  return folder;
}

/** Renews all certificates long before they end. Returns a function that stops it. */
export function keepRenewed(folder: CertificateFolder): () => void {
  const timer = setInterval(() => {
    issueAll(folder).catch((error) => console.error("certificates cannot be renewed", error));
  }, renewMs);
  return () => clearInterval(timer);
}
