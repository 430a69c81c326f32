import { nn } from "@pta/accelerated";
import { type Adapters, argument, numberOf, tensorOf } from "../adapter.ts";

const { functional: F } = nn;

/** Adapters by PyTorch's name. */
export const attention: Adapters = {
  "nn.functional.scaled_dot_product_attention": (s) =>
    F.scaledDotProductAttention(tensorOf(s.input), tensorOf(s.args[0]), tensorOf(s.args[1]), {
      attnMask: s.kwargs.attn_mask == null ? undefined : tensorOf(s.kwargs.attn_mask),
      isCausal: s.kwargs.is_causal === true,
      dropoutP: numberOf(argument(s, -1, "dropout_p"), 0),
      enableGqa: s.kwargs.enable_gqa === true,
    }),
};

/** Names left out, and why. */
export const attentionReasons: Record<string, string> = {};
