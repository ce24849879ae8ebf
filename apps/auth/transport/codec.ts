import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  type Account as AccountMessage,
  AccountSchema,
  type Tokens as TokensMessage,
  TokensSchema,
} from "@mall/gen/mall/auth/v1/auth_pb";
import type { SignedIn, Tokens } from "../application/issue-tokens";
import type { Account } from "../domain/account";

/** An account as the contract shows it. */
export const accountToMessage = (account: Account): AccountMessage =>
  create(AccountSchema, {
    ...account,
    emailVerified: account.emailVerifiedAt !== undefined,
    createdAt: timestampFromDate(account.createdAt),
  });

/** Tokens as the contract shows them. */
export const tokensToMessage = ({ accessToken, refreshToken, expiresInSeconds }: Tokens): TokensMessage =>
  create(TokensSchema, { accessToken, refreshToken, expiresIn: expiresInSeconds });

/** The answer to whoever has just signed in. */
export const signedInToMessage = ({ account, tokens }: SignedIn) => ({
  user: accountToMessage(account),
  tokens: tokensToMessage(tokens),
});
