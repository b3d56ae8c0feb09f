console.log("admin");
//# sourceMappingURL=admin-ShYaTToM.js.map
