"""Where the operations are taken from."""

DEEPAA = "DeepAA (Zheng et al. 2022), table of operations"
AUTODO = "AutoDO (Gudovskiy et al. 2021)"
