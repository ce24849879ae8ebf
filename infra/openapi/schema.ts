import { type DescEnum, type DescField, type DescMessage, type DescMethod, ScalarType, create } from "@bufbuild/protobuf";
import { isFieldPresenceImplicit } from "./presence";
