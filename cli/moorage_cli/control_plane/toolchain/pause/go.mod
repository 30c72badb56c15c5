module moorage.dev/toolchain/pause

go 1.24.0
