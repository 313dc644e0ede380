// Passkeys: between the JSON of our server and the binary of navigator.credentials.
// A page that has something signed calls signChallenge(options) with the options that the server
// made, and sends back what it gets.
export class PasskeyFailed extends Error {
  // reason: cancelled | known | unable
  constructor(reason) {
    super(reason);
    this.reason = reason;
  }
}

export function passkeysWork() {
  return typeof window.PublicKeyCredential === "function" && navigator.credentials !== undefined;
}

// What the person's passkey says to `options`; they choose it and confirm with finger, face or PIN.
export async function signChallenge(options) {
  const publicKey = {
    ...options,
    challenge: fromBase64url(options.challenge),
    allowCredentials: (options.allowCredentials ?? []).map(descriptor),
  };
  const credential = await ask(() => navigator.credentials.get({ publicKey }));
  const { authenticatorData, clientDataJSON, signature, userHandle } = credential.response;
  return outer(credential, {
    authenticatorData: toBase64url(authenticatorData),
    clientDataJSON: toBase64url(clientDataJSON),
    signature: toBase64url(signature),
    ...(userHandle ? { userHandle: toBase64url(userHandle) } : {}),
  });
}

// A new passkey as `options` asks for it.
export async function makePasskey(options) {
  const publicKey = {
    ...options,
    challenge: fromBase64url(options.challenge),
    user: { ...options.user, id: fromBase64url(options.user.id) },
    excludeCredentials: (options.excludeCredentials ?? []).map(descriptor),
  };
  const credential = await ask(() => navigator.credentials.create({ publicKey }));
  const { attestationObject, clientDataJSON } = credential.response;
  return outer(credential, {
    attestationObject: toBase64url(attestationObject),
    clientDataJSON: toBase64url(clientDataJSON),
  });
}

async function ask(ceremony) {
  if (!passkeysWork()) throw new PasskeyFailed("unable");
  try {
    const credential = await ceremony();
    if (credential === null) throw new PasskeyFailed("cancelled");
    return credential;
  } catch (error) {
    if (error instanceof PasskeyFailed) throw error;
    const reasons = { NotAllowedError: "cancelled", AbortError: "cancelled", InvalidStateError: "known" };
    throw new PasskeyFailed(reasons[error.name] ?? "unable");
  }
}

function outer(credential, response) {
  return {
    id: credential.id,
    rawId: toBase64url(credential.rawId),
    type: credential.type,
    clientExtensionResults: {},
    ...(credential.authenticatorAttachment
      ? { authenticatorAttachment: credential.authenticatorAttachment }
      : {}),
    response,
  };
}

function descriptor(one) {
  return { ...one, id: fromBase64url(one.id) };
}

function fromBase64url(text) {
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (char) => char.charCodeAt(0));
}

function toBase64url(buffer) {
  const binary = Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join("");
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
