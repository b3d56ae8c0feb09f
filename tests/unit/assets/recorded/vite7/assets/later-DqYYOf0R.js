function o(){console.log("later")}export{o as go};
//# sourceMappingURL=later-DqYYOf0R.js.map
