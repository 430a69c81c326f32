import { nn, type Tensor } from "@pta/accelerated";
import { type Adapters, argument, numberOf, tensorOf, type Value } from "../adapter.ts";

const { functional: F } = nn;

const optional = (v: Value | undefined): Tensor | undefined => v == null ? undefined : tensorOf(v);

/** Adapters by PyTorch's name. */
export const attention: Adapters = {
  "nn.functional.scaled_dot_product_attention": (s) =>
    F.scaledDotProductAttention(tensorOf(s.input), tensorOf(s.args[0]), tensorOf(s.args[1]), {
      attnMask: s.kwargs.attn_mask == null ? undefined : tensorOf(s.kwargs.attn_mask),
      isCausal: s.kwargs.is_causal === true,
      dropoutP: numberOf(argument(s, -1, "dropout_p"), 0),
      enableGqa: s.kwargs.enable_gqa === true,
    }),
  "nn.functional.multi_head_attention_forward": (s) => {
    const [key, value, embedDim, heads] = s.args;
    const [output, weights] = F.multiHeadAttentionForward(
      tensorOf(s.input),
      tensorOf(key),
      tensorOf(value),
      numberOf(embedDim),
      numberOf(heads),
      {
        inProjWeight: optional(s.args[4]),
        inProjBias: optional(s.args[5]),
        biasK: optional(s.args[6]),
        biasV: optional(s.args[7]),
        addZeroAttn: s.args[8] === true,
        dropoutP: numberOf(s.args[9]),
        outProjWeight: tensorOf(s.args[10]),
        outProjBias: optional(s.args[11]),
        training: s.kwargs.training !== false,
        keyPaddingMask: optional(s.kwargs.key_padding_mask),
        needWeights: s.kwargs.need_weights !== false,
        attnMask: optional(s.kwargs.attn_mask),
        useSeparateProjWeight: s.kwargs.use_separate_proj_weight === true,
        qProjWeight: optional(s.kwargs.q_proj_weight),
        kProjWeight: optional(s.kwargs.k_proj_weight),
        vProjWeight: optional(s.kwargs.v_proj_weight),
        staticK: optional(s.kwargs.static_k),
        staticV: optional(s.kwargs.static_v),
        averageAttnWeights: s.kwargs.average_attn_weights !== false,
        isCausal: s.kwargs.is_causal === true,
      },
    );
    return weights === undefined ? [output, null] : [output, weights];
  },
};

/** Names left out, and why. */
export const attentionReasons: Record<string, string> = {};
