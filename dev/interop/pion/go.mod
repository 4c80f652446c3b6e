module peer

go 1.19

require github.com/pion/dtls/v3 v3.0.0

require (
	github.com/pion/logging v0.2.2 // indirect
	github.com/pion/transport/v3 v3.0.5 // indirect
	golang.org/x/crypto v0.24.0 // indirect
)
