module weir/deploy/kubernetes/schema-server

go 1.24

require (
	github.com/google/gnostic-models v0.7.1
	google.golang.org/protobuf v1.36.12
)

require go.yaml.in/yaml/v3 v3.0.3 // indirect
