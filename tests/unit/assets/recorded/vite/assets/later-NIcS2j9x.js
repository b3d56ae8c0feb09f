function o(){console.log("later")}export{o as run};
//# sourceMappingURL=later-NIcS2j9x.js.map
