"""DeepAA (Zheng et al., ICLR 2022): a deep policy, layer by layer, by gradient matching."""
