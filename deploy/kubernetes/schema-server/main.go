// Command schema-server answers what `kubectl apply --dry-run=client` asks an API server: which kinds there are, and the
// schema of each, both from Kubernetes' own published swagger.json. It stores nothing and knows no object: whatever is
// asked for by name does not exist. It lets kubectl check manifests, field by field, on a machine without a cluster.
//
//	schema-server SWAGGER.JSON GIT-VERSION
//
// It prints the URL it listens at.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"regexp"
	"sort"
	"strings"

	openapi_v2 "github.com/google/gnostic-models/openapiv2"
	"google.golang.org/protobuf/proto"
)

// The media type of OpenAPI v2 as protobuf, in the spelling which an answer may have.
const openAPIProto = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"

// object is JSON which this program passes on without a type of its own.
type object = map[string]any

// groupVersion is one version of an API group; the group of the oldest kinds is empty.
type groupVersion struct{ group, version string }

func (gv groupVersion) String() string {
	if gv.group == "" {
		return gv.version
	}
	return gv.group + "/" + gv.version
}

// A path of one object: group and version, whether it is in a namespace, and its resource's plural.
var objectPath = regexp.MustCompile(`^/apis?/((?:[^/]+/)?[^/]+)/(namespaces/\{namespace\}/)?([a-z]+)/\{name\}$`)

func main() {
	log.SetFlags(0)
	log.SetPrefix("schema-server: ")
	if len(os.Args) != 3 {
		log.Fatal("usage: schema-server SWAGGER.JSON GIT-VERSION")
	}
	swagger, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	handler, err := newServer(swagger, os.Args[2])
	if err != nil {
		log.Fatalf("%s: %v", os.Args[1], err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("http://%s\n", listener.Addr())
	log.Fatal(http.Serve(listener, handler))
}

func newServer(swagger []byte, gitVersion string) (http.Handler, error) {
	var document object
	if err := json.Unmarshal(swagger, &document); err != nil {
		return nil, err
	}
	openAPI, err := clientSideSchema(document)
	if err != nil {
		return nil, err
	}
	resources := discover(document)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /openapi/v2", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", openAPIProto)
		w.Write(openAPI)
	})
	answer(mux, "/version", object{"major": "1", "minor": "0", "gitVersion": gitVersion})
	answer(mux, "/api", object{"kind": "APIVersions", "versions": []string{"v1"}})
	answer(mux, "/apis", groupList(resources))
	for gv, list := range resources {
		path := "/apis/" + gv.String()
		if gv.group == "" {
			path = "/api/" + gv.version
		}
		answer(mux, path, object{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": gv.String(), "resources": list})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		json.NewEncoder(w).Encode(object{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound",
			"code": http.StatusNotFound, "message": r.URL.Path + " does not exist here"})
	})
	return mux, nil
}

func answer(mux *http.ServeMux, path string, body object) {
	encoded, err := json.Marshal(body)
	if err != nil {
		log.Fatal(err) // only plain values are answered
	}
	mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(encoded)
	})
}

// clientSideSchema takes from every operation the parameter by which a server offers to validate fields itself; without
// that offer kubectl validates on its own side, against the definitions in this document.
func clientSideSchema(document object) ([]byte, error) {
	for _, item := range document["paths"].(object) {
		for _, operation := range item.(object) {
			if operation, ok := operation.(object); ok {
				delete(operation, "parameters")
			}
		}
		delete(item.(object), "parameters")
	}
	encoded, err := json.Marshal(document)
	if err != nil {
		return nil, err
	}
	parsed, err := openapi_v2.ParseDocument(encoded)
	if err != nil {
		return nil, err
	}
	return proto.Marshal(parsed)
}

// discover lists the kinds of every group and version, as the paths of the document tell them.
func discover(document object) map[groupVersion][]object {
	found := map[groupVersion][]object{}
	for path, item := range document["paths"].(object) {
		match := objectPath.FindStringSubmatch(path)
		get, _ := item.(object)["get"].(object)
		if match == nil || get == nil {
			continue
		}
		gvk, ok := get["x-kubernetes-group-version-kind"].(object)
		if !ok {
			continue
		}
		gv := groupVersion{gvk["group"].(string), gvk["version"].(string)}
		kind := gvk["kind"].(string)
		found[gv] = append(found[gv], object{"name": match[3], "singularName": strings.ToLower(kind), "kind": kind,
			"namespaced": match[2] != "", "verbs": []string{"get", "list", "create", "patch"}})
	}
	return found
}

func groupList(resources map[groupVersion][]object) object {
	versions := map[string][]string{}
	for gv := range resources {
		if gv.group != "" {
			versions[gv.group] = append(versions[gv.group], gv.version)
		}
	}
	groups := []object{}
	for group, names := range versions {
		sort.Slice(names, func(a, b int) bool { return stability(names[a]) < stability(names[b]) })
		list := []object{}
		for _, name := range names {
			list = append(list, object{"groupVersion": group + "/" + name, "version": name})
		}
		groups = append(groups, object{"name": group, "versions": list, "preferredVersion": list[0]})
	}
	return object{"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
}

// stability orders versions as Kubernetes prefers them: v1 before v1beta2 before v1alpha1.
func stability(version string) string {
	switch {
	case strings.Contains(version, "alpha"):
		return "2" + version
	case strings.Contains(version, "beta"):
		return "1" + version
	default:
		return "0" + version
	}
}
